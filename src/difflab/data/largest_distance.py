"""The largest distance between two examples of a data set: sigma_1 of NCSN by Technique 1 of Song & Ermon (2020)."""

import torch
from torch import Tensor

from difflab.progress import Progress

BLOCK = 1024


def largest_distance(x: Tensor) -> float:
    """The largest Euclidean distance between two rows of x, exact, without holding all distances or a copy of x.

    Two rows are at most as far apart as their distances from the mean together, so pairs for which this sum does not
    exceed a distance found before need no look; of images these are most. Rows go in blocks, the outermost first.

    Args:
        x: real numbers or levels, [N, ...].

    Returns:
        In units of x; 0 for one row.

    Raises:
        ValueError: for no rows and for numbers that are not finite.
    """
    if not len(x):
        raise ValueError("largest_distance: no rows; allowed is any number of them from 1")
    rows = x.reshape(len(x), -1)
    mean = torch.stack([part.double().sum(0) for part in rows.split(BLOCK)]).sum(0) / len(rows)
    if not mean.isfinite().all():
        raise ValueError("largest_distance: numbers that are not finite; allowed are finite ones")
    radius = distances(rows, mean)
    best = far_apart(rows, int(radius.argmax()))
    radius, order = radius.sort(descending=True)

    def end(a: int) -> int:
        """Where the rows end that may be farther than `best` from one of the block that begins at `a`."""
        return int((radius > best - radius[a]).sum())

    starts = range(0, len(rows), BLOCK)
    planned = [max(0, end(a) - a) for a in starts]
    with Progress("largest distance", sum(planned)) as progress:
        for a, count in zip(starts, planned, strict=True):
            one, b = Block(rows[order[a : a + BLOCK]], mean), a
            while b < end(a):
                best = max(best, one.farthest(Block(rows[order[b : b + BLOCK]], mean), best))
                b += BLOCK
            progress.advance(count)
    return best


def distances(rows: Tensor, point: Tensor) -> Tensor:
    """Of each row from a point, float64 [N]."""
    return torch.cat([(part.double() - point).norm(dim=1) for part in rows.split(BLOCK)])


def far_apart(rows: Tensor, start: int) -> float:
    """A large distance: from a row to the one farthest from it, from there on, as long as distances grow."""
    best = -1.0
    while True:
        distance = distances(rows, rows[start].double())
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
