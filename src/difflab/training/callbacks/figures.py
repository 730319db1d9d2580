"""What is written down while a run trains, and what is shown of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from difflab.progress import Progress
from difflab.training.module import Diffusion


class Figures(Callback):
    """Loss, learning rate and images/s every few steps, the held-out loss after each validation, a progress bar.

    The device is asked only when figures are written, so that it never waits for the log.

    Args:
        every: optimizer steps between two rows.
        batch_size: images in the global batch.
    """

    def __init__(self, every: int, batch_size: int) -> None:
        self.every, self.batch_size = every, batch_size
        self.loss = float("nan")
        self.images, self.seconds = 0, 0.0
        self.written, self.unwritten = 0, torch.zeros(0)
        self.looking, self.seen = 0.0, ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Diffusion)
        self.module = pl_module
        pl_module.losses = list(self.unwritten.to(pl_module.device))
        self.progress = Progress("training", trainer.max_steps, start=trainer.global_step).__enter__()
        self.begun, self.paused = time.monotonic(), 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step == self.progress.done:
            return
        note = None
        if step % self.every == 0 or step == trainer.max_steps:
            note = self.write(trainer, step)
        self.progress.advance(step - self.progress.done, note)

    def write(self, trainer: Trainer, step: int) -> str:
        """One row for every logger; what the bar shows."""
        module = trainer.lightning_module
        assert isinstance(module, Diffusion)
        loss = float(trainer.strategy.reduce(module.recent_loss(), reduce_op="mean"))
        now = time.monotonic()
        images, seconds = (step - self.written) * self.batch_size, now - self.begun - self.paused
        images *= trainer.accumulate_grad_batches
        self.images, self.seconds = self.images + images, self.seconds + seconds
        self.loss, self.written, self.begun, self.paused = loss, step, now, 0.0
        rate = images / max(seconds, 1e-9)
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.row(trainer, {"train/loss": loss, "train/lr": lr, "train/images_per_second": rate}, step)
        share = self.looking / max(self.looking + self.seconds, 1e-9)
        looks = f"  {self.seen} (looks take {share:.1%})" if self.looking else ""
        return f"loss {loss:.4f}  {rate:,.0f} images/s{looks}"

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What takes place within it is no training: it slows no rate, and its share of the time is told."""
        begun = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - begun
            self.paused, self.looking = self.paused + spent, self.looking + spent

    @staticmethod
    def row(trainer: Trainer, figures: dict[str, float], step: int) -> None:
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(figures, step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pause_begun = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or "val/loss" not in trainer.callback_metrics:
            return
        self.paused += time.monotonic() - self.pause_begun
        self.row(trainer, {"val/loss": float(trainer.callback_metrics["val/loss"])}, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress.__exit__(None, None, None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if hasattr(self, "progress"):
            self.progress.__exit__(None, None, None)

    def totals(self) -> dict[str, float]:
        """The figures of the whole run, over all its parts where it was resumed."""
        rate = self.images / self.seconds if self.seconds else 0.0
        found = {"train/loss": self.loss, "train/images_per_second": rate, "seconds/train": self.seconds}
        return found | {"seconds/looks": self.looking}

    def state_dict(self) -> dict[str, Any]:
        losses = self.module.losses
        unwritten = torch.stack(losses).cpu() if losses else torch.zeros(0)
        names = ("images", "seconds", "loss", "written", "looking", "seen")
        return {name: getattr(self, name) for name in names} | {"unwritten": unwritten}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)
