"""What a few numbers can say: an interval for their mean, and whether two variants differ."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from statistics import fmean, stdev
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Difference(NamedTuple):
    """A mean difference, its standard error, and the two-sided p-value of no difference; nan where nothing tells."""

    mean: float
    stderr: float
    p: float


def interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the t-interval of a mean; nan for fewer than two values."""
    from scipy import special

    n = len(values)
    return stdev(values) / n**0.5 * float(special.stdtrit(n - 1, (1 + level) / 2)) if n > 1 else nan


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """a - b of pairs that share whatever else moves both (seeds, starts), by Student's t; nan for fewer than two."""
    from scipy import special

    differences = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(differences), fmean(differences) if differences else nan
    if n < 2:
        return Difference(mean, nan, nan)
    stderr = stdev(differences) / n**0.5
    t = abs(mean) / stderr if stderr > 0 else (inf if mean else 0.0)
    return Difference(mean, stderr, 2 * float(special.stdtr(n - 1, -t)))


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """p-values of several questions asked at once, adjusted (Holm, 1979); nan stays and is not counted."""
    asked = sorted(((value, name) for name, value in p.items() if value == value), key=lambda pair: pair[0])
    adjusted, least = dict.fromkeys(p, nan), 0.0
    for rank, (value, name) in enumerate(asked):
        least = max(least, min(1.0, (len(asked) - rank) * value))
        adjusted[name] = least
    return adjusted
