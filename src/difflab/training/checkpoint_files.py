"""Files of checkpoints: written once, seen when they are whole, under several names where they are the same."""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.plugins.io import TorchCheckpointIO


class Direct(TorchCheckpointIO):
    """torch.save to the file that is asked for; renaming it when it is whole is the caller's part.

    Lightning's own goes through the folder of temporary files, which may be a small disk, and where a kill leaves it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        content = io.BytesIO()  # torch ends the process where it meets a full disk itself
        torch.save(checkpoint, content)
        with Path(path).open("wb") as file:
            file.write(content.getbuffer())


def by_step(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step_*.ckpt"), key=place)


def place(path: Path) -> tuple[int, str]:
    """What sorts checkpoints by their steps; names grow beyond a million of them."""
    return len(path.name), path.name


def named(step: int) -> str:
    """The file name of a step's checkpoint."""
    return f"step_{step:06d}.ckpt"


def step_in(path: Path) -> int | None:
    """The step that a checkpoint was saved at, without reading its tensors; None where it is missing or damaged."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except Exception:  # what a damaged archive raises depends on where the damage is
        return None


def link(path: Path, name: Path) -> None:
    """Make `name` another name of the file at `path`, in one step; a copy where the file system has no links."""
    new = name.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        os.link(path, new)
    except OSError:
        shutil.copyfile(path, new)
    new.replace(name)


def size(count: float) -> str:
    """So many bytes in words: 12.3 MB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB"
