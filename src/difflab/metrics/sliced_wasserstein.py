"""The sliced Wasserstein distance: how far points have to be moved, seen from random directions."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from difflab.metrics.checks import check
from difflab.metrics.permutation import chance, split, splits
from difflab.randomness import normal, stream


def sliced_wasserstein(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], directions: int, seed: int) -> float:
    """Mean over random directions of the 1-D Wasserstein distance of order 1, in the unit of the points.

    Bonneel et al. (2015), with W_1 in the place of W_2: for two sets that are each other shifted by v it is the mean of
    |<v, u>| over directions u, in the plane about 2/pi |v|. In a direction it is exact, the integral of |F - G|, for
    sets of unequal size too. For two sets of one law it is above 0, by less the larger they are.

    Args:
        directions: how many, each uniform on the sphere.
        seed: of the directions.

    Raises:
        ConfigError: as `check` says.
    """
    return float(costs(a, b, split(len(a), len(b))[None], directions, seed))


def sliced_wasserstein_p_value(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], directions: int, permutations: int, seed: int
) -> float:
    """The chance of a distance as large as that of a and b where both are of one law: a permutation test.

    The points are sorted once in each direction, for all permutations.

    Args:
        directions, seed: as above.
        permutations: random ones; the p-value is at least 1 / (1 + permutations).

    Raises:
        ConfigError: as `check` says, and without a permutation.
    """
    return chance(costs(a, b, splits(len(a), len(b), permutations, seed), directions, seed))


def costs(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], weights: Float[Tensor, "rows points"], directions: int, seed: int
) -> Float[Tensor, " rows"]:
    """The mean over directions of the integral of |F - G|, for each split of the pooled points; one at a time."""
    check(a, "samples")
    check(b, "reference")
    points = torch.cat([a, b]).cpu().double()
    axes = normalize(normal(stream(seed, "directions"), (directions, points.shape[1])).double())
    total = weights.new_zeros(len(weights))
    for axis in axes:
        place, order = (points @ axis).sort()
        total += weights[:, order[:-1]].cumsum(1).abs_() @ place.diff()
    return total / directions
