"""The most that this machine computes: large matrix products."""

from statistics import median
from typing import NamedTuple

import torch

from difflab.runs.benchmarks.timing import interleaved

SIDE = 3072


class Peak(NamedTuple):
    """Operations a second, a multiplication with its addition for two."""

    float32: float
    bfloat16: float

    @property
    def best(self) -> float:
        return max(self)


def peak(repetitions: int) -> Peak:
    """Medians over matrix products of 3072 x 3072, in both precisions in turn."""
    sides = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
        sides[name] = lambda a=a, b=b: a @ b
    found = interleaved(sides, repetitions, label="matrix products")
    return Peak(*(2 * SIDE**3 / median(found[name]) for name in ("float32", "bfloat16")))
