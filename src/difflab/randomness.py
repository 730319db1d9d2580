"""Every random number of a run is a function of a seed and of what it is for; no generator state is ever stored.

Streams are Philox generators (Salmon et al., 2011) keyed by a hash of the seed and a path of names and numbers, so
that no two of them are related and each can be had without drawing the others first.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """The generator of one purpose: stream(seed, "times", step), stream(seed, "noise", i), ..."""
    key = blake2b("/".join(map(str, (seed, *path))).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def normal(generator: np.random.Generator, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 numbers of that shape."""
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))


def torch_seed(seed: int, *path: str | int) -> int:
    """A seed for `torch.manual_seed`, for draws made inside networks (dropout)."""
    return int(stream(seed, *path).integers(2**63 - 1))


class SampleNoise:
    """A source of noise in which sample i of a generation has a stream of its own: a function of (seed, i) alone.

    Args:
        seed: of the generation.
        indices: of the samples in this chunk.
        shape: of one sample.
        device: where the numbers go; they are drawn on the CPU, so that every device sees the same.
    """

    def __init__(
        self, seed: int, indices: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        self.device = device
        self.streams = [stream(seed, "sample", i) for i in indices]
        self.shape = tuple(shape)

    def __call__(self) -> Tensor:
        """The next standard normal numbers of every sample, [len(indices), *shape], float32."""
        noise = np.empty((len(self.streams), *self.shape), dtype=np.float32)
        for row, generator in zip(noise, self.streams, strict=True):
            generator.standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(noise).to(self.device)
