"""TensorBoard event files in the run folder."""

from pathlib import Path

from lightning.pytorch.loggers import Logger


def tensorboard_logger(folder: Path) -> Logger:
    """TensorBoard event files in RUN/tensorboard."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=str(folder), name="", version="tensorboard")
