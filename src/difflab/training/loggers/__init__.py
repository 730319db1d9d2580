"""Where figures and pictures go: metrics.csv always, Weights & Biases or TensorBoard beside it."""

from difflab.training.loggers.shows import Shows, showing
from difflab.training.loggers.table import Table, parsed
from difflab.training.loggers.tensorboard import TensorBoard, tensorboard_logger
from difflab.training.loggers.wandb import Wandb, wandb_logger

__all__ = ["Shows", "Table", "TensorBoard", "Wandb", "parsed", "showing", "tensorboard_logger", "wandb_logger"]
