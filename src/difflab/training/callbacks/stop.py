"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import signal
import sys
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer

from difflab.training.callbacks.checkpoints import Checkpoints


class Stopped(Exception):
    """Training was asked to stop by a signal and has saved its state."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}")
        self.signum = signum


class StopOnSignal(Callback):
    """On SIGINT or SIGTERM a checkpoint is saved before the next batch, and `Stopped` is raised; a second one kills.

    Args:
        checkpoints: saves.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.asked = 0
        self.before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before = {s: signal.signal(s, self.note) for s in self.signals}

    def note(self, signum: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = signum
        print("\nsaving a checkpoint before the next batch; once more stops at once", file=sys.stderr, flush=True)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.asked:
            self.checkpoints.save(trainer)
            raise Stopped(self.asked, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.restore()
        if self.asked:
            raise Stopped(self.asked, trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.restore()

    def restore(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}
