"""Numbers with their intervals as text, rounded to what the interval leaves of them."""

from math import floor, isfinite, log10

from difflab.report.comparable import parts
from difflab.report.factors import ABSENT
from difflab.report.model import Report
from difflab.runs.results import number


def one_line(text: object) -> str:
    """A text of somebody else's without line breaks and without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def rounded(value: float, half: float) -> tuple[str, str]:
    """A number and half of its interval, both to the place of the second digit of the latter."""
    if not isfinite(half):
        return number(value), ""
    if half == 0:
        return number(value), "0"
    places = 1 - floor(log10(half))
    if places > 6:
        return f"{value:.4g}", f"{half:.2g}"
    return f"{value:z,.{max(0, places)}f}", f"{half:,.{max(0, places)}f}"


def estimate(mean: float, half: float, n: int, of: int = 0) -> str:
    """A mean as a table has it: half an interval wherever there is one, and always n; empty for none.

    Args:
        of: how many there should be, told where there are fewer.
    """
    known = f"n = {n} of {of}" if n < of else f"n = {n}"
    if n == 0 or not isfinite(mean):
        return known if n < of else ""
    value, error = rounded(mean, half)
    return f"{value} ± {error} ({known})" if error else f"{value} ({known})"


def ranged(mean: float, half: float) -> str:
    """A mean as a sentence has it, with both ends of its interval wherever there is one."""
    value, error = rounded(mean, half)
    return f"{value} [{rounded(mean - half, half)[0]}, {rounded(mean + half, half)[0]}]" if error else value


def p_value(p: float) -> str:
    """The same of a p-value; empty where there is none."""
    return "" if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def shown(level: str) -> str:
    """A level of a factor in a sentence, also that of runs that lack it."""
    return "unset" if level in (ABSENT, "") else level


def called(report: Report, variant: str) -> str:
    """A variant outside of the table, where the field whose level it is called by does not stand above it."""
    factor = next(iter(report.factors), "")
    is_level = len(report.factors) == 1 and variant in report.factors[factor]
    return f"{factor}={variant}" if is_level else variant


def what_p_is(report: Report) -> str:
    """What the p of a cell is, with the numbers of pairs that were adjusted together."""
    families = {
        sum(pair.metric == metric.key and pair.a in {variant.name for variant in own} for pair in report.pairs)
        for metric in report.metrics
        for own in parts(report.variants, metric).values()
    } - {0}
    many = " or ".join(f"{n:,}" for n in sorted(families))
    over = "the only pair" if families <= {1} else f"all {many} pairs"
    several = any(len(parts(report.variants, metric)) > 1 for metric in report.metrics)
    each = ", for each data set and kind of features by itself" if several else ""
    return f"p: of no difference to the best, Holm-adjusted over {over} of the column{each}"


def p_is(p: float) -> str:
    """p in a sentence."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def count(n: int, what: str) -> str:
    """So many of something."""
    return f"{n:,} {what}{'s' * (n != 1)}"
