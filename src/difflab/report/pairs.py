"""Which two variants differ in a figure: every pair of them, tested and adjusted together."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from difflab.report.model import Metric, Pair
from difflab.statistics import holm, paired, welch

PAIRED, WELCH = "paired t", "Welch's t"


def pairs(metric: Metric, values: Mapping[str, Mapping[str, float]]) -> tuple[Pair, ...]:
    """Every two variants that at least two runs of each can tell something about, in the order of the variants.

    Student's t of the differences where at least two seeds are shared, since what a seed does to both is gone there;
    Welch's t where fewer are. All of them count in Holm's correction: which variant is the best is read off the same
    figures, so that comparisons with it alone would find too much.

    Args:
        metric: of these values.
        values: by variant, by seed.
    """
    found = {}
    for a, b in combinations(values, 2):
        left, right = values[a], values[b]
        shared = [seed for seed in left if seed in right]
        if len(shared) > 1:
            test, n = PAIRED, len(shared)
            told = paired([left[seed] for seed in shared], [right[seed] for seed in shared])
        elif min(len(left), len(right)) > 1:
            test, n = WELCH, 0
            told = welch(list(left.values()), list(right.values()))
        else:
            continue
        found[a, b] = Pair(metric.key, a, b, told.mean, told.half(), n, told.p, told.p, test)
    adjusted = holm({names: pair.p for names, pair in found.items()})
    return tuple(replace(pair, holm=adjusted[names]) for names, pair in found.items())
