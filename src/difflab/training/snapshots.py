"""Averages of several lengths on disk, from which others are made after training."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from difflab.errors import ConfigError

Average = Mapping[str, Tensor]


class Snapshots:
    """RUN/snapshots/step_000500.safetensors: every tracked average under LENGTH/parameter, and a checksum.

    A file appears by renaming, when all of it is written.

    Args:
        folder: of the run.
        every: optimizer steps between two of them.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder / "snapshots", every

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}.safetensors"

    def steps(self) -> list[int]:
        """The steps that there are snapshots of, in order."""
        return sorted(int(path.stem.removeprefix("step_")) for path in self.folder.glob("step_*.safetensors"))

    def write(self, averages: Mapping[str, Average], step: int) -> None:
        """Make the snapshot of a step.

        Raises:
            OSError: where the file cannot be written.
        """
        path = self.path(step)
        unfinished = path.with_suffix(".unfinished")
        tensors = {f"{key}/{name}": w.contiguous().cpu() for key, ws in averages.items() for name, w in ws.items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(save(tensors, {"crc32": checksum(tensors)}))  # save_file's are private to the user
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise OSError(f"{path} could not be written ({error.strerror or error})") from error

    def read(self, step: int) -> dict[str, dict[str, Tensor]]:
        """The averages of a step by length and parameter, on the CPU.

        Raises:
            ConfigError: where the file is missing or damaged.
        """
        path = self.path(step)
        if not path.is_file():
            raise ConfigError(f"ema.length: the snapshot {path} is missing; other lengths need those of all steps")
        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
                expected = (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"ema.length: the snapshot {path} is damaged ({error})") from error
        if expected not in (None, checksum(tensors)):
            raise ConfigError(f"ema.length: the snapshot {path} is damaged (its checksum differs)")
        averages: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            label, _, name = key.partition("/")
            averages.setdefault(label, {})[name] = tensor
        return averages

    def clear(self) -> None:
        """Remove what an uninterrupted run would not have: the snapshot of an end that was not the end."""
        for step in self.steps():
            if step % self.every:
                self.path(step).unlink()


def checksum(tensors: Average) -> str:
    """CRC-32 of the content of tensors, in the order of their names."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"
