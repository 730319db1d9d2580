"""Distances between all pairs of two sets, a block at a time, so that memory does not grow with the sets."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

ROWS, COLUMNS = 1024, 8192  # of a block: 64 MB of float64, beside the features of its rows and columns


def blocks(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]
) -> Iterator[tuple[slice, slice, Float[Tensor, "rows cols"]]]:
    """The squared distances |a_i - b_j|^2 in float64: rows, columns, and the block that they name.

    From |a|^2 + |b|^2 - 2 a.b, where rounding is some 1e-15 of |a|^2 + |b|^2: no further than that from 0 counts as 0.
    """
    norms_a, norms_b = (torch.cat([part.double().square().sum(1) for part in f.split(ROWS)]) for f in (a, b))
    for j in range(0, len(b), COLUMNS):
        columns = slice(j, j + COLUMNS)
        y = b[columns].double()
        for i in range(0, len(a), ROWS):
            rows = slice(i, i + ROWS)
            size = norms_a[rows, None] + norms_b[columns]
            squared = torch.addmm(size, a[rows].double(), y.T, alpha=-2)
            yield rows, columns, squared.masked_fill_(squared < 1e-14 * size, 0)


def closest(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], k: int
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """The k smallest squared distances of each row of a to the rows of b, in float64, and which rows these are."""
    values = torch.full((len(a), k), torch.inf, dtype=torch.float64, device=a.device)
    indices = torch.zeros(len(a), k, dtype=torch.long, device=a.device)
    for rows, columns, squared in blocks(a, b):
        near, where = squared.topk(min(k, squared.shape[1]), largest=False)
        both, which = torch.cat([values[rows], near], 1), torch.cat([indices[rows], where + columns.start], 1)
        values[rows], order = both.topk(k, largest=False)
        indices[rows] = which.gather(1, order)
    return values, indices
