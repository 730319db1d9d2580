"""Ctrl-C, SIGTERM and the warning of a cluster that time is nearly over: finish the step, save, leave."""

import signal
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer

from difflab.data import Batch
from difflab.progress import interject
from difflab.training.callbacks.checkpoints import Checkpoints

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)  # SLURM sends what --signal asks for; submitit asks for the second


class Stopped(Exception):
    """Training was stopped by a signal, `signum`."""

    def __init__(self, signum: int, when: str) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} {when}")
        self.signum = signum


class StopOnSignal(Callback):
    """On a signal a checkpoint is saved before the next batch, then `Stopped`.

    A second SIGINT or SIGTERM stops at once; one that follows a warning is the first. Who handled the signals before
    handles them again after training.

    Args:
        checkpoints: saves.
    """

    signals = (signal.SIGINT, signal.SIGTERM, *WARNINGS)

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.asked, self.urgent = 0, False
        self.before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before = {s: signal.signal(s, self.note) for s in self.signals}

    def note(self, signum: int, frame: FrameType | None) -> None:
        if signum not in WARNINGS:
            if self.urgent:
                raise Stopped(signum, "at once")
            self.urgent = True
        if not self.asked:
            once_more = "; once more stops at once" if self.urgent else ""
            interject(f"saving a checkpoint before the next batch{once_more}")
        self.asked = self.asked or signum

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        if batch.step % trainer.accumulate_grad_batches:  # half an accumulated step is not kept
            return
        if trainer.strategy.reduce_boolean_decision(bool(self.asked), all=False):  # all processes save the same step
            self.checkpoints.save(trainer)
            raise self.stopped(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.restore()
        if trainer.strategy.reduce_boolean_decision(bool(self.asked), all=False):
            raise self.stopped(trainer)

    def stopped(self, trainer: Trainer) -> Stopped:
        step = trainer.global_step
        when = f"after step {step}, which is saved" if step else "before the first step"
        return Stopped(self.asked or signal.SIGTERM, when)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.restore()

    def restore(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}
