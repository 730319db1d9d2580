"""Checkpoints that are whole or not there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.training.module import Diffusion


class Checkpoints(Callback):
    """checkpoints/step_000500.ckpt at fixed steps, the newest of them also as last.ckpt.

    Saved before the next batch starts, so that whatever belongs to a step (its validation, its pictures) is done: a
    run that is cut in the middle of it does it again. A file appears by renaming, when all of it is written: a full
    disk leaves the previous checkpoint as it was.

    Args:
        folder: where they lie.
        every: optimizer steps between two of them.
        keep: how many are kept.
    """

    def __init__(self, folder: Path, every: int, keep: int) -> None:
        self.folder, self.every, self.keep = folder, every, keep
        self.saved = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.saved = trainer.global_step
        if trainer.ckpt_path is not None:
            assert isinstance(pl_module, Diffusion)
            pl_module.last_checkpoint = str(trainer.ckpt_path)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the state of this step, unless that is done.

        Raises:
            NonFinite: where the state is no longer numbers.
            OSError: where the file cannot be written; earlier ones stay as they are.
        """
        if trainer.global_step == self.saved:
            return
        module = trainer.lightning_module
        assert isinstance(module, Diffusion)
        module.check()
        path, last = self.folder / f"step_{trainer.global_step:06d}.ckpt", self.folder / "last.ckpt"
        unfinished = path.with_suffix(".unfinished")
        try:
            trainer.save_checkpoint(unfinished)
            if trainer.is_global_zero:
                unfinished.replace(path)
                link(path, last)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            reason, last_good = error.strerror or error, module.last_checkpoint
            raise OSError(f"{path} could not be written ({reason}); last good checkpoint: {last_good}") from error
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        self.saved = trainer.global_step
        module.last_checkpoint = str(path)
        if trainer.is_global_zero:
            for old in by_step(self.folder)[: -self.keep]:
                old.unlink()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, Diffusion)
        kept = [checkpoint[key] for key in ("state_dict", "current_model_state", "optimizer_states")]
        if not all(bool(tensor.isfinite().all()) for tensor in tensors(kept)):
            loss = float(pl_module.newest_loss)
            raise pl_module.non_finite(f"the state is not finite after step {trainer.global_step}, of loss {loss:g}")
        # Between two batches every counter of batches agrees; Lightning would count the batch about to start.
        batches = trainer.global_step * trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        ahead = progress["total"]["ready"] - batches
        for counts in (progress["total"], progress["current"]):
            done = counts["ready"] - ahead
            counts.update({key: done for key in counts})


def by_step(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first; names grow beyond a million steps."""
    return sorted(folder.glob("step_*.ckpt"), key=lambda path: (len(path.name), path.name))


def tensors(node: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers."""
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, dict | list | tuple):
        for value in node.values() if isinstance(node, dict) else node:
            yield from tensors(value)


def link(path: Path, name: Path) -> None:
    """Make `name` another name of the file at `path`, in one step; a copy where the file system has no links."""
    new = name.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        os.link(path, new)
    except OSError:
        shutil.copyfile(path, new)
    new.replace(name)
