"""What a data set is in numbers: computed in blocks, once for each content."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.data.pixels import BLOCK, Pixels
from difflab.data.scaling import Scaling
from difflab.progress import Progress

NUMBERS = 2**24  # in a block, at most, as far as one example is no more


class Statistics(NamedTuple):
    """Of examples in the model's numbers.

    Attributes:
        mean, std: of each channel of images, of each coordinate of points.
        sigma_data: standard deviation of all numbers together, about the mean of all.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    sigma_data: float

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Statistics":
        """From what `_asdict` wrote as JSON.

        Raises:
            KeyError, TypeError, ValueError: for anything else.
        """
        mean, std = (tuple(float(value) for value in content[name]) for name in ("mean", "std"))
        return cls(mean, std, float(content["sigma_data"]))


def block_of(shape: tuple[int, ...]) -> int:
    """How many examples of [N, ...] make a block."""
    return max(1, min(BLOCK, NUMBERS // max(1, prod(shape[1:]))))


def of_levels(levels: Tensor | Pixels, scaling: Scaling) -> Statistics:
    """Exact up to the rounding of the last few operations: levels are counted.

    Images that are decoded on demand are decoded by as many threads as there are cores, a block in each.

    Args:
        levels: uint8 [N, C, ...].
        scaling: from levels to the model's numbers.
    """
    channels, size = levels.shape[1], block_of(tuple(levels.shape))

    def count(begin: int) -> Tensor:
        block = levels[begin : begin + size]
        return torch.stack([torch.bincount(block[:, c].flatten(), minlength=256) for c in range(channels)])

    begins = range(0, len(levels), size)
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    threads = 1 if isinstance(levels, Tensor) else os.cpu_count()
    pool = ThreadPoolExecutor(threads)
    try:
        with Progress("statistics of the data", len(levels)) as progress:
            for found in map(count, begins) if threads == 1 else pool.map(count, begins):
                counts += found
                progress.advance(size)
    finally:
        pool.shutdown(cancel_futures=True)
    value = scaling.encode(torch.arange(256)).double()
    of_channels = [moments(row.double(), value) for row in counts]
    return Statistics(
        tuple(mean for mean, _ in of_channels),
        tuple(std for _, std in of_channels),
        moments(counts.sum(0).double(), value)[1],
    )


def moments(counts: Tensor, value: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of values that were counted."""
    mean = (counts * value).sum() / counts.sum()
    return float(mean), float(((counts * (value - mean) ** 2).sum() / counts.sum()).sqrt())


def of_points(points: Tensor) -> Statistics:
    """Of real numbers in memory, [N, d]."""
    x = points.double()
    return Statistics(tuple(x.mean(0).tolist()), tuple(x.std(0, correction=0).tolist()), float(x.std(correction=0)))
