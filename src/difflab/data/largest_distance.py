"""The largest distance between two examples of a data set: sigma_1 of NCSN by Technique 1 of Song & Ermon (2020)."""

from collections.abc import Iterator
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from difflab.data.pixels import Pixels
from difflab.progress import Progress

BLOCK = 1024  # rows, or fewer of more than NUMBERS in all
NUMBERS = 2**24
MEMORY = 2**29  # bytes of images that are kept as long as others are decoded


def largest_distance(x: Tensor | Pixels) -> float:
    """The largest Euclidean distance between two rows of x, exact, without holding all distances or a copy of x.

    Two rows are at most as far apart as their distances from the mean together, so pairs for which this sum does not
    exceed a distance found before need no look; of images these are most. Rows go in blocks, the outermost first.

    Args:
        x: real numbers or levels, [N, ...]; images that are decoded on demand are decoded several times.

    Returns:
        In units of x; 0 for one row.

    Raises:
        ValueError: for no rows and for numbers that are not finite.
    """
    if not len(x):
        raise ValueError("largest_distance: no rows; allowed is any number of them from 1")
    rows = Rows(x)
    mean = torch.stack([part.double().sum(0) for part in rows.blocks()]).sum(0) / len(rows)
    if not mean.isfinite().all():
        raise ValueError("largest_distance: numbers that are not finite; allowed are finite ones")
    radius = distances(rows, mean)
    best = far_apart(rows, int(radius.argmax()))
    radius, order = radius.sort(descending=True)

    def end(a: int) -> int:
        """Where the rows end that may be farther than `best` from one of the block that begins at `a`."""
        return int((radius > best - radius[a]).sum())

    @lru_cache(max(2, MEMORY // (rows.size * rows.width)) if rows.decoded else 1)
    def outermost(a: int) -> Tensor:
        return rows[order[a : a + rows.size]]

    starts = range(0, len(rows), rows.size)
    planned = [max(0, end(a) - a) for a in starts]
    with Progress("largest distance", sum(planned)) as progress:
        for a, count in zip(starts, planned, strict=True):
            if a < end(a):
                one, b = Block(outermost(a), mean), a
                while b < end(a):
                    best = max(best, one.farthest(Block(outermost(b), mean), best))
                    b += rows.size
            progress.advance(count)
    return best


class Rows:
    """Examples as the rows of a matrix, some at a time.

    Attributes:
        width: numbers in a row.
        size: rows in a block.
        decoded: whether they are decoded when they are asked for.
    """

    def __init__(self, x: Tensor | Pixels) -> None:
        self.x, self.decoded = x, not isinstance(x, Tensor)
        self.width = prod(x.shape[1:])
        self.size = max(1, min(BLOCK, NUMBERS // max(1, self.width)))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, where: slice | Tensor) -> Tensor:
        some = self.x[where]
        return some.reshape(len(some), -1)

    def blocks(self) -> Iterator[Tensor]:
        """All rows in order."""
        for a in range(0, len(self), self.size):
            yield self[a : a + self.size]


def distances(rows: Rows, point: Tensor) -> Tensor:
    """Of each row from a point, float64 [N]."""
    return torch.cat([(part.double() - point).norm(dim=1) for part in rows.blocks()])


def far_apart(rows: Rows, start: int) -> float:
    """A large distance: from a row to the one farthest from it, from there on, as long as distances grow."""
    best = -1.0
    while True:
        distance = distances(rows, rows[start : start + 1][0].double())
        start = int(distance.argmax())
        if float(distance[start]) <= best:
            return best
        best = float(distance[start])


class Block:
    """Rows about the mean in float64, and the squares of their norms."""

    def __init__(self, rows: Tensor, mean: Tensor) -> None:
        self.rows = rows.double() - mean
        self.squares = self.rows.square().sum(1)

    def farthest(self, other: "Block", best: float) -> float:
        """The largest distance between a row of this block and one of the other; 0 where none exceeds `best`.

        Products are in float32, and again in float64 where rounding might hide a larger distance.
        """
        most = (self.squares.max().sqrt() + other.squares.max().sqrt()) ** 2
        rounding = float(most) * (self.rows.shape[1] + 8) * torch.finfo(torch.float32).eps
        if float(self.squared(other, torch.float32).max()) < best**2 - rounding:
            return 0.0
        squared = self.squared(other, torch.float64)
        i, j = divmod(int(squared.argmax()), squared.shape[1])
        return float((self.rows[i] - other.rows[j]).norm())

    def squared(self, other: "Block", dtype: torch.dtype) -> Tensor:
        """The squares of all distances to rows of another block."""
        product = self.rows.to(dtype) @ other.rows.to(dtype).T
        return self.squares.to(dtype)[:, None] + other.squares.to(dtype) - 2 * product
