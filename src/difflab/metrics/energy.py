"""The energy distance: 0 for equal laws and for no others, without features, bandwidths or densities."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.metrics.checks import check
from difflab.metrics.pairs import ROWS, blocks
from difflab.metrics.permutation import chance, split, splits


def energy_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, in the unit of the points (Szekely & Rizzo, 2013, section 2); no root of it.

    The V-statistic: the pairs of a point with itself are taken in, so that it is never negative and 0 for equal sets;
    for two sets of one law it is above 0 by E|X - X'| (1/n + 1/m) in the mean. Memory does not grow with the pairs.

    Raises:
        ConfigError: as `check` says.
    """
    return float(energies(pooled(a, b), split(len(a), len(b))[None]))


def energy_p_value(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], permutations: int, seed: int) -> float:
    """The chance of an energy distance as large as that of a and b where both are of one law: a permutation test.

    Every distance is computed once, for all permutations.

    Args:
        permutations: random ones; the p-value is at least 1 / (1 + permutations).
        seed: of them.

    Raises:
        ConfigError: as `check` says, and without a permutation.
    """
    return chance(energies(pooled(a, b), splits(len(a), len(b), permutations, seed)))


def pooled(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "points d"]:
    """Both sets in float64 around their common mean: distances stay, and their rounding is that of the spread."""
    check(a, "samples")
    check(b, "reference")
    both = torch.cat([a.double(), b.double()])
    return both - both.mean(0)


def energies(points: Float[Tensor, "points d"], weights: Float[Tensor, "rows points"]) -> Float[Tensor, " rows"]:
    """-w^T D w for each row w of the weights, D all distances between the points: the energy distance of a split.

    D is symmetric: a block beside the diagonal counts twice, and its mirror image is not computed.
    """
    weights = weights.to(points.device)
    total = weights.new_zeros(len(weights))
    for first in range(0, len(points), ROWS):
        left, right = weights[:, first : first + ROWS], 2 * weights[:, first:]
        right[:, :ROWS] /= 2
        for rows, columns, squared in blocks(points[first : first + ROWS], points[first:]):
            total -= ((left[:, rows] @ squared.sqrt_()) * right[:, columns]).sum(1)
    return total.clamp(min=0)
