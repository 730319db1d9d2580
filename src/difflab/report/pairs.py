"""Which two variants differ in a figure: every pair of them, tested and adjusted together."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from difflab.report.model import Metric, Pair
from difflab.statistics import Difference, holm, paired, quantile, welch

PAIRED, WELCH = "paired t", "Welch's t"

Values = Mapping[str, float]  # of one variant, by seed


def pairs(metric: Metric, values: Mapping[str, Values]) -> tuple[Pair, ...]:
    """Every two variants that at least two runs of each can tell something about, in the order of the variants.

    All of them count in Holm's correction: which variant is the best is read off the same figures, so that comparisons
    with it alone would find too much.

    Args:
        metric: of these values.
        values: by variant, by seed.
    """
    found = {}
    for a, b in combinations(values, 2):
        test, n, told = difference(values[a], values[b])
        if told.p == told.p:
            found[a, b] = Pair(metric.key, a, b, told.mean, told.half(), n, told.p, told.p, test)
    adjusted = holm({names: pair.p for names, pair in found.items()})
    return tuple(replace(pair, holm=adjusted[names]) for names, pair in found.items())


def difference(left: Values, right: Values) -> tuple[str, int, Difference]:
    """The test, how many seeds it pairs (0 for Welch's), and left - right."""
    shared = [seed for seed in left if seed in right]
    if in_pairs(len(shared), len(left), len(right)):
        return PAIRED, len(shared), paired([left[seed] for seed in shared], [right[seed] for seed in shared])
    return WELCH, 0, welch(list(left.values()), list(right.values()))


def in_pairs(shared: int, left: int, right: int) -> bool:
    """Whether to test the differences within the shared seeds, by the numbers of seeds alone.

    Yes where these are all that the smaller variant has: what a seed does to both is gone then, and no run is left out
    of it. Else where the interval will be the narrower one if seeds make half of the variance: with few of many shared,
    their differences have too few degrees of freedom.
    """
    if shared < 2 or shared == min(left, right):
        return shared > 1
    of_pairs = quantile(shared - 1) * (1 / shared) ** 0.5
    return of_pairs < quantile(left + right - 2) * (1 / left + 1 / right) ** 0.5
