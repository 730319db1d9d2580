"""Data sets of points in the plane: laws that can be drawn from exactly, as often as one likes."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.data.indexed import Indexed, Split
from difflab.data.scaling import Plain
from difflab.data.statistics import Statistics, of_points
from difflab.errors import ConfigError
from difflab.randomness import torch_seed

BLOCK = 1024


class Points(NamedTuple):
    """Points, float32 [N, 2], and class numbers, int64 [N], or None for data without classes."""

    points: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def values(self) -> Tensor:
        return self.points

    def part(self, where: slice) -> "Points":
        return Points(self.points[where], None if self.labels is None else self.labels[where])


class PointData(Indexed[Points]):
    """Independent draws of a law in the plane, for training, validation and test.

    A subclass draws in `exact`. Point i of a part is a function of (draw, part, i): more points begin with the same
    ones, and the seed of a run changes only their order.

    Args:
        batch_size: points in the global batch, over all processes and one step of accumulation.
        size: training points.
        val_size: points held out for choices.
        test_size: points that are only reported on.
        seed: of the order of the points.
        draw: number of the draw of the points.

    Raises:
        ConfigError: for a size that is not positive and for a batch larger than the training part.
    """

    levels = None
    bounded = False
    scaling: Plain
    licence = "none: drawn from a formula"
    form = "2"
    division = "three independent draws of size, val_size and test_size points"
    where = "none"

    def __init__(self, batch_size: int, size: int, val_size: int, test_size: int, seed: int, draw: int) -> None:
        super().__init__(batch_size, val_size, workers=0, flip=False, seed=seed)
        for field, value, least in (("size", size, 1), ("test_size", test_size, 1), ("draw", draw, 0)):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"data.{field}: {value}; allowed are whole numbers from {least} on")
        if batch_size > size:
            raise ConfigError(f"data.batch_size: {batch_size}; allowed are at most data.size = {size}")
        self.size, self.test_size, self.draw = size, test_size, draw
        self.scaling = Plain()

    @abstractmethod
    def exact(self, n: int, generator: torch.Generator) -> Tensor:
        """n fresh points of the law, float32 [n, 2]; the generator is one of the CPU."""

    def split(self) -> Split[Points]:
        sizes = {"train": self.size, "val": self.val_size, "test": self.test_size}
        train, val, test = (Points(self.points(part, n), None) for part, n in sizes.items())
        return Split(train, val, test, reference=train)

    def points(self, part: str, n: int) -> Tensor:
        """The first n points of a part, drawn in whole blocks so that no point depends on n."""
        blocks = [
            self.exact(BLOCK, torch.Generator().manual_seed(torch_seed(self.draw, "points", part, first)))
            for first in range(0, n, BLOCK)
        ]
        return torch.cat(blocks)[:n]

    def measure(self, part: Points) -> Statistics:
        return of_points(part.points)
