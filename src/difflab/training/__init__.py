"""The LightningModule, the moving averages of its weights, and what happens around its steps."""

from difflab.training.averages import label
from difflab.training.ema import EMA, constant_ema, halflife_ema, power_ema
from difflab.training.fsdp import FullyShard
from difflab.training.loggers import Table, tensorboard_logger, wandb_logger
from difflab.training.module import Diffusion
from difflab.training.optim import AdamW
from difflab.training.posthoc import left_out, reconstruct
from difflab.training.snapshots import Snapshots
from difflab.training.watchdog import BadStep, Watchdog

__all__ = [
    "EMA",
    "AdamW",
    "BadStep",
    "Diffusion",
    "FullyShard",
    "Snapshots",
    "Table",
    "Watchdog",
    "constant_ema",
    "halflife_ema",
    "label",
    "left_out",
    "power_ema",
    "reconstruct",
    "tensorboard_logger",
    "wandb_logger",
]
