"""The LightningModule, the moving average of its weights, and what happens around its steps."""

from difflab.training.ema import EMA
from difflab.training.loggers import tensorboard_logger, wandb_logger
from difflab.training.module import Diffusion, NonFinite
from difflab.training.optim import AdamW
from difflab.training.table import Table

__all__ = ["EMA", "AdamW", "Diffusion", "NonFinite", "Table", "tensorboard_logger", "wandb_logger"]
