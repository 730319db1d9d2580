"""Checkpoints that are whole or not there."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil, inf
from pathlib import Path
from shutil import disk_usage
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.files import flush
from difflab.training.checkpoint_files import Direct, by_step, link, named, place, size, step_in
from difflab.training.loggers import Table
from difflab.training.module import Diffusion

log = logging.getLogger(__name__)


class Checkpoints(Callback):
    """checkpoints/step_000500.ckpt at fixed steps, the newest of them also as last.ckpt, the best as best.ckpt.

    Saved before the next batch starts, so that whatever belongs to a step (its validation, its pictures) is done: a
    run that is cut in the middle of it does it again. A file appears by renaming, when all of it is written: a full
    disk leaves the previous checkpoint as it was.

    best.ckpt is the state at the lowest val/loss so far, saved where it was found even if no other checkpoint is due
    at that step. It is replaced before any checkpoint that knows of it: whatever a resumed run starts from, best.ckpt
    is what that checkpoint says, or of a later step, whose validation comes again.

    Args:
        folder: where they lie.
        every: optimizer steps between two of them.
        keep: how many are kept, beside the best.
    """

    def __init__(self, folder: Path, every: int, keep: int) -> None:
        self.folder, self.every, self.keep = folder, every, keep
        self.last, self.best = folder / "last.ckpt", folder / "best.ckpt"
        self.saved, self.told = -1, False
        self.lowest, self.lowest_step, self.found = inf, -1, False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        trainer.strategy.checkpoint_io = Direct()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.saved = trainer.global_step
        if trainer.ckpt_path is not None:
            assert isinstance(pl_module, Diffusion)
            pl_module.last_checkpoint = str(trainer.ckpt_path)
        if trainer.strategy.broadcast(step_in(self.best)) != self.lowest_step:
            self.lowest = inf  # there is no such file any more, so the next is the best
        if trainer.is_global_zero:
            for half in self.folder.glob("*.unfinished"):
                half.unlink()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get("val/loss", inf))
        if not trainer.sanity_checking and value < self.lowest:
            self.lowest, self.lowest_step, self.found = value, trainer.global_step, True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            self.save(trainer)
        if self.found:
            with self.written(trainer, self.best) as unfinished:
                if trainer.is_global_zero:
                    unfinished.replace(self.best)
            self.found = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the state of this step, unless that is done.

        Raises:
            BadStep: where the state is no longer numbers.
            OSError: where the file cannot be written; earlier ones stay as they are.
        """
        step = trainer.global_step
        if step == self.saved:
            return
        path = self.folder / named(step)
        with self.written(trainer, path) as unfinished:
            if trainer.is_global_zero:
                if self.found:
                    link(unfinished, self.best)
                unfinished.replace(path)
                link(path, self.last)
        self.saved, self.found = step, False
        assert isinstance(trainer.lightning_module, Diffusion)
        trainer.lightning_module.last_checkpoint = str(path)
        if trainer.is_global_zero:
            for old in [p for p in by_step(self.folder) if place(p) <= place(path)][: -self.keep]:
                old.unlink()
            self.tell(trainer, path)

    @contextmanager
    def written(self, trainer: Trainer, path: Path) -> Iterator[Path]:
        """The state in a file that is to get the name `path`; gone where that does not come to its end."""
        module = trainer.lightning_module
        assert isinstance(module, Diffusion)
        module.check()
        unfinished = path.with_suffix(".unfinished")
        try:
            trainer.save_checkpoint(unfinished)
            if trainer.is_global_zero:
                flush(unfinished)
            yield unfinished
        except BaseException as error:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            reason, last_good = error.strerror or error, module.last_checkpoint
            raise OSError(f"{path} could not be written ({reason}); last good checkpoint: {last_good}") from error

    def tell(self, trainer: Trainer, path: Path) -> None:
        """Say once how much the checkpoints will take, and warn where there is not as much."""
        if self.told:
            return
        self.told = True
        each, there = path.stat().st_size, {p.stat().st_ino for p in self.folder.glob("*.ckpt")}
        # A new one is there before the oldest goes; the best may be none of the newest, last.ckpt is one of them.
        most = min(self.keep + 1, ceil(trainer.max_steps / self.every)) + trainer.enable_validation
        most = max(most, len(there))
        text = f"checkpoints: {size(each)} each, at most {most} of them, in {self.folder}"
        log.info(text)
        print(text, flush=True)
        more, free = (most - len(there)) * each, disk_usage(self.folder).free
        if more > free:
            log.warning("checkpoints: %s more to come, %s free: checkpoints.keep=%d", size(more), size(free), self.keep)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "lowest_step": self.lowest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest, self.lowest_step = state_dict["lowest"], state_dict["lowest_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, Diffusion)
        kept = [checkpoint[key] for key in ("state_dict", "current_model_state", "optimizer_states")]
        finite = all(bool(tensor.isfinite().all()) for tensor in tensors(kept))
        if not trainer.strategy.reduce_boolean_decision(finite):  # trainer=fsdp: only the first process has it all
            loss = float(pl_module.newest_loss)
            raise pl_module.non_finite(f"the state is not finite after step {trainer.global_step}, of loss {loss:g}")
        for logger in trainer.loggers:
            if isinstance(logger, Table):
                checkpoint["metrics.csv"] = logger.text()
        # Between two batches every counter of batches agrees; Lightning would count the batch about to start.
        batches = trainer.global_step * trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        ahead = progress["total"]["ready"] - batches
        for counts in (progress["total"], progress["current"]):
            done = counts["ready"] - ahead
            counts.update({key: done for key in counts})


def tensors(node: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers."""
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, dict | list | tuple):
        for value in node.values() if isinstance(node, dict) else node:
            yield from tensors(value)
