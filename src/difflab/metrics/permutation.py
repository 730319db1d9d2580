"""Chances by random relabelling: whether two sets of points could be one."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.errors import ConfigError
from difflab.randomness import torch_seed

TIE = 1e-10  # of the largest value: two that differ by rounding alone are equal


def splits(n: int, m: int, permutations: int, seed: int) -> Float[Tensor, "rows points"]:
    """Signed weights of the n + m pooled points: 1/n in the first set, -1/m in the second, float64.

    Row 0 is the split as it is, n points and then m; the others are random relabellings, [1 + permutations, n + m].

    Raises:
        ConfigError: without a permutation.
    """
    if permutations < 1:
        raise ConfigError(f"metrics.permutations: {permutations}; allowed are whole numbers from 1")
    weights = split(n, m)
    draw = torch.Generator().manual_seed(torch_seed(seed, "permutations"))
    shuffled = [weights[torch.randperm(n + m, generator=draw)] for _ in range(permutations)]
    return torch.stack([weights, *shuffled])


def split(n: int, m: int) -> Float[Tensor, " points"]:
    """Row 0 of `splits`."""
    return torch.cat([torch.full((k,), sign / k, dtype=torch.float64) for k, sign in ((n, 1), (m, -1))])


def chance(values: Float[Tensor, " rows"]) -> float:
    """(1 + #{permuted >= observed}) / (1 + permutations), of the observed value and those of the permutations.

    Where the points of both sets are exchangeable this is at most p with a chance of at most p, whatever the statistic
    and however few the permutations (Phipson & Smyth, 2010).
    """
    tie = TIE * float(values.abs().max())
    return float((values >= values[0] - tie).double().mean())


def permutation_p_value(
    statistic: Callable[[Tensor, Tensor], float],
    a: Float[Tensor, "n *shape"],
    b: Float[Tensor, "m *shape"],
    permutations: int,
    seed: int,
) -> float:
    """How often a random relabelling of the pooled points has a statistic as large as the sets themselves.

    Any statistic, computed anew for each permutation; `energy_p_value` and `sliced_wasserstein_p_value` compute their
    own for all permutations at once.

    Args:
        statistic: of two sets; large where they differ.
        permutations: random ones; the p-value is at least 1 / (1 + permutations).
        seed: of them.

    Raises:
        ConfigError: without a permutation.
    """
    pooled = torch.cat([a, b])
    first = splits(len(a), len(b), permutations, seed) > 0
    return chance(torch.tensor([statistic(pooled[row], pooled[~row]) for row in first], dtype=torch.float64))
