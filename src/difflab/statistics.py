"""What a few numbers can say: an interval for their mean, and whether two variants differ."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from statistics import fmean, stdev, variance
from typing import NamedTuple, TypeVar

K = TypeVar("K")
ROUNDING = 1e-12  # of numbers relative to the largest: less is no difference, and no spread


class Difference(NamedTuple):
    """A mean difference, its standard error, and the two-sided p-value of no difference; nan where nothing tells.

    Attributes:
        freedom: degrees of freedom of Student's t.
    """

    mean: float
    stderr: float
    p: float
    freedom: float = nan

    def half(self, level: float = 0.95) -> float:
        """Half the width of its t-interval."""
        return self.stderr * quantile(self.freedom, level)


def quantile(freedom: float, level: float = 0.95) -> float:
    """How many standard errors a two-sided interval of Student's t reaches; nan without degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else nan


def interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the t-interval of a mean; nan for fewer than two values."""
    n = len(values)
    return stdev(values) / n**0.5 * quantile(n - 1, level) if n > 1 else nan


def tested(mean: float, stderr: float, freedom: float, largest: float) -> Difference:
    """A difference by Student's t. Without any spread t is infinite, and p = 0; but for equal means p = 1.

    Args:
        mean: of the difference.
        stderr: of that mean.
        freedom: degrees of freedom.
        largest: absolute value of the numbers that were subtracted.
    """
    from scipy import special

    size, spread = (value if value > ROUNDING * largest else 0.0 for value in (abs(mean), stderr))
    t = size / spread if spread > 0 else (inf if size else 0.0)
    return Difference(mean, spread, 2 * float(special.stdtr(freedom, -t)), freedom)


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """a - b of pairs that share whatever else moves both (seeds, starts), by Student's t; nan for fewer than two."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(differences), fmean(differences) if differences else nan
    if n < 2:
        return Difference(mean, nan, nan)
    return tested(mean, stdev(differences) / n**0.5, n - 1, max(map(abs, (*a, *b))))


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """a - b of two independent samples whose variances may differ (Welch, 1947); nan for fewer than two of either."""
    mean = fmean(a) - fmean(b) if a and b else nan
    if min(len(a), len(b)) < 2:
        return Difference(mean, nan, nan)
    parts = [(variance(x) / len(x), len(x) - 1) for x in (a, b)]
    whole = sum(part for part, _ in parts)
    squares = sum(part**2 / freedom for part, freedom in parts)
    freedom = whole**2 / squares if squares > 0 else len(a) + len(b) - 2
    return tested(mean, whole**0.5, freedom, max(map(abs, (*a, *b))))


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """p-values of several questions asked at once, adjusted (Holm, 1979); nan stays and is not counted."""
    asked = sorted(((value, name) for name, value in p.items() if value == value), key=lambda pair: pair[0])
    adjusted, least = dict.fromkeys(p, nan), 0.0
    for rank, (value, name) in enumerate(asked):
        least = max(least, min(1.0, (len(asked) - rank) * value))
        adjusted[name] = least
    return adjusted
