"""What is written down while a run trains, and what is shown of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.progress import Progress
from difflab.training.loggers import showing
from difflab.training.memory import memory_gb
from difflab.training.module import Diffusion
from difflab.training.quarters import quarter_means

BINS = 50  # of the histogram of times


class Figures(Callback):
    """Every few steps a row, the held-out loss after each validation, a progress bar.

    A row has train/loss and train/grad_norm, means over the steps since the last row (the norm of the whole gradient
    before clipping; steps that were left out do not count), train/loss_q0 to q3, the loss without weights by quarter of
    time, train/lr, train/images_per_second, train/memory_gb, and train/skipped_steps where steps may be left out. The
    device is asked only when figures are written, so that it never waits for the log. Loggers that show more get a
    histogram of the times that were drawn, train/times, with each validation and at the end.

    Args:
        every: optimizer steps between two rows.
        batch_size: images in the global batch.
    """

    def __init__(self, every: int, batch_size: int) -> None:
        self.every, self.batch_size = every, batch_size
        self.loss = float("nan")
        self.images, self.seconds = 0, 0.0
        self.written = 0
        self.skipped: int | None = None
        self.looking, self.seen = 0.0, ""
        self.memory = 0.0
        self.drawn = torch.zeros(BINS, dtype=torch.float64)  # times since the last histogram, but for
        self.times: list[Tensor] = []  # those since the last row

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress = Progress("training", trainer.max_steps, start=trainer.global_step).__enter__()
        self.begun, self.paused = time.monotonic(), 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step == self.progress.done:
            return
        assert isinstance(pl_module, Diffusion)
        for batch in pl_module.watchdog.last:
            self.times.append(batch.times)
        note = None
        if step % self.every == 0 or step == trainer.max_steps:
            note = self.write(trainer, step)
        self.progress.advance(step - self.progress.done, note)

    def write(self, trainer: Trainer, step: int) -> str:
        """One row for every logger; what the bar shows."""
        self.count()
        module = trainer.lightning_module
        assert isinstance(module, Diffusion)
        module.check()
        means: Any = trainer.strategy.reduce(module.watchdog.means().to(module.device), reduce_op="mean")
        loss, norm, *quarters = means.tolist()
        now = time.monotonic()
        images, seconds = (step - self.written) * self.batch_size, now - self.begun - self.paused
        images *= trainer.accumulate_grad_batches
        self.images, self.seconds = self.images + images, self.seconds + seconds
        self.written, self.begun, self.paused = step, now, 0.0
        rate = images / max(seconds, 1e-9)
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        memory = memory_gb(module.device)
        self.memory = max(self.memory, memory)
        figures = {"train/loss": loss, "train/grad_norm": norm, "train/lr": lr, "train/images_per_second": rate}
        figures |= {"train/memory_gb": memory} | quarter_means(quarters)
        figures = {name: value for name, value in figures.items() if not isnan(value)}  # of no step
        self.loss = figures.get("train/loss", self.loss)
        if module.watchdog.skip:
            self.skipped = figures["train/skipped_steps"] = module.watchdog.skipped
        self.row(trainer, figures, step)
        share = self.looking / max(self.looking + self.seconds, 1e-9)
        looks = f"  {self.seen} (looks take {share:.1%})" if self.looking else ""
        return f"loss {self.loss:.4f}  {rate:,.0f} images/s{looks}"

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
        self.show_times(trainer)

    def count(self) -> None:
        """Take the times in that have been drawn: many at once, so that no step waits for it."""
        if self.times:
            self.drawn += torch.histc(torch.cat(self.times), BINS, 0.0, 1.0)
            self.times = []

    def show_times(self, trainer: Trainer) -> None:
        """The histogram of the times drawn since the last one."""
        self.count()
        counts = self.drawn.tolist()
        if any(counts):
            for logger in showing(trainer):
                logger.histogram("train/times", counts, [i / BINS for i in range(BINS + 1)], trainer.global_step)
        self.drawn.zero_()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.show_times(trainer)
        self.progress.__exit__(None, None, None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if hasattr(self, "progress"):
            self.progress.__exit__(None, None, None)

    def totals(self) -> dict[str, float]:
        """The figures of the whole run, over all its parts where it was resumed."""
        rate = self.images / self.seconds if self.seconds else 0.0
        found = {"train/images_per_second": rate, "train/memory_gb": self.memory, "seconds/train": self.seconds}
        if not isnan(self.loss):  # as it is where training has ended before the first row
            found["train/loss"] = self.loss
        skipped = {} if self.skipped is None else {"train/skipped_steps": self.skipped}
        return found | {"seconds/looks": self.looking} | skipped

    def state_dict(self) -> dict[str, Any]:
        self.count()
        names = ("images", "seconds", "loss", "written", "looking", "seen", "skipped", "memory", "drawn")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)
