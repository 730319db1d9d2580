"""Finished chunks of a generation on disk: one that was interrupted goes on where it was."""

import json
import os
import shutil
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

PACKAGE = Path(__file__).parents[1]


def content(tensor: Tensor) -> memoryview:
    """The bytes of a tensor."""
    return tensor.detach().cpu().flatten().view(torch.uint8).numpy().data


@cache
def source() -> str:
    """A hash of the program itself: another version of a sampler makes other samples."""
    code = blake2b(torch.__version__.encode(), digest_size=12)
    for path in sorted(PACKAGE.rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


def identity(weights: Mapping[str, Tensor], settings: Mapping[str, Any]) -> str:
    """The key of a generation: a hash of what determines its samples, and of the program.

    Args:
        weights: all tensors of the denoiser, by name.
        settings: plain containers: sampler, schedule, shape, seed, chunk and whatever else there is.
    """
    key = blake2b(source().encode(), digest_size=8)
    key.update(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        key.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        key.update(content(tensor))
    return key.hexdigest()


class Store:
    """The folder of one generation, one file a chunk; each is written by one process, whole or not at all.

    Args:
        folder: where it lies, among others.
        key: of `identity`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / f"unfinished-{key}"

    def path(self, chunk: int) -> Path:
        return self.folder / f"chunk_{chunk:06d}.safetensors"

    def has(self, chunk: int) -> bool:
        """Whether there is a file of that chunk."""
        return self.path(chunk).is_file()

    def keep(self, chunk: int, samples: Tensor, calls: int) -> None:
        """Write down a finished chunk and the network calls that it took."""
        digest = blake2b(content(samples), digest_size=16).hexdigest()
        whole = save({"samples": samples.contiguous()}, {"calls": str(calls), "digest": digest})
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.path(chunk).with_suffix(f".{os.getpid()}")
        new.write_bytes(whole)
        new.replace(self.path(chunk))

    def load(self, chunk: int, shape: tuple[int, ...]) -> tuple[Tensor, int] | None:
        """The samples, of that shape, and the calls of a chunk; None where it is missing or damaged."""
        if not self.has(chunk):
            return None
        try:
            with safe_open(self.path(chunk), framework="pt") as file:
                samples, about = file.get_tensor("samples"), file.metadata() or {}
                digest, calls = about["digest"], int(about["calls"])
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        fits = samples.shape == torch.Size(shape) and samples.dtype == torch.float32
        return (samples, calls) if fits and blake2b(content(samples), digest_size=16).hexdigest() == digest else None

    def clear(self) -> None:
        """Remove the folder: the samples have been used."""
        shutil.rmtree(self.folder, ignore_errors=True)
