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
    from scipy import stats

    n = len(values)
    return stdev(values) / n**0.5 * float(stats.t.ppf((1 + level) / 2, n - 1)) if n > 1 else nan


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """a - b of pairs that share whatever else moves both (seeds, starts), by Student's t; nan for fewer than two."""
    from scipy import stats

    differences = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(differences), fmean(differences) if differences else nan
    if n < 2:
        return Difference(mean, nan, nan)
    stderr = stdev(differences) / n**0.5
    t = abs(mean) / stderr if stderr > 0 else (inf if mean else 0.0)
    return Difference(mean, stderr, 2 * float(stats.t.sf(t, n - 1)))


def by_errors(a: float, b: float, stderr_a: float, stderr_b: float) -> Difference:
    """a - b of two numbers with standard errors of their own, by the normal distribution."""
    from scipy import stats

    stderr = (stderr_a**2 + stderr_b**2) ** 0.5
    z = abs(a - b) / stderr if stderr > 0 else (inf if a != b else 0.0)
    return Difference(a - b, stderr, 2 * float(stats.norm.sf(z)))


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """p-values of several questions asked at once, adjusted (Holm, 1979); nan stays and is not counted."""
    asked = sorted(((value, name) for name, value in p.items() if value == value), key=lambda pair: pair[0])
    adjusted, least = dict.fromkeys(p, nan), 0.0
    for rank, (value, name) in enumerate(asked):
        least = max(least, min(1.0, (len(asked) - rank) * value))
        adjusted[name] = least
    return adjusted
