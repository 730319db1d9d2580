"""The table of variants against metrics."""

from collections.abc import Iterator
from math import isfinite, isnan
from typing import NamedTuple

from difflab.report.model import Cell, Report, Variant
from difflab.report.page.looks import Look
from difflab.report.words import estimate, p_value, shown

BEST, LIKE, UNTOLD = "★", "≈", "?"


class Figure(NamedTuple):
    """A cell as the page shows it.

    Attributes:
        text: the mean with its interval and n, or what is missing; empty where there is nothing to tell.
        order: to sort by; empty for none.
        mark, words: beside it, and what that means.
        p: of no difference to the best; empty where there is none.
        error: the Monte-Carlo standard error within a run; empty where it is unknown.
    """

    text: str
    order: str
    mark: str
    words: str
    p: str
    error: str


class Row(NamedTuple):
    """A variant with its look, the level of each factor of the report, and a figure for each metric."""

    variant: Variant
    look: Look
    levels: tuple[str, ...]
    figures: tuple[Figure, ...]


def rows(report: Report, looks: dict[str, Look]) -> list[Row]:
    """All variants."""
    return [
        Row(
            variant,
            looks[variant.name],
            tuple(shown(variant.levels.get(factor, "")) for factor in report.factors),
            tuple(figure(report.cells[metric.key].get(variant.name)) for metric in report.metrics),
        )
        for variant in report.variants
    ]


def figure(cell: Cell | None) -> Figure:
    """What the page shows of a cell."""
    if cell is None:
        return Figure("", "", "", "", "", "")
    text = estimate(cell.mean, cell.half, cell.n, cell.of)
    if cell.n == 0 or isnan(cell.mean):
        return Figure(text, "", "", "", "", "")
    mark, words = mark_of(cell)
    error = f"{cell.stderr:.2g}" if isfinite(cell.stderr) else ""
    return Figure(text, repr(cell.mean), mark, words, p_value(cell.p), error)


def mark_of(cell: Cell) -> tuple[str, str]:
    """The sign and the words beside a figure."""
    if cell.best:
        return BEST, "best"
    if cell.like_best:
        return LIKE, "not told from the best"
    return (UNTOLD, "not compared") if cell.untold else ("", "")


def marks(report: Report) -> list[tuple[str, str, str]]:
    """Sign, name and meaning of the marks of this report."""
    found = {mark_of(cell)[0] for cells in report.cells.values() for cell in cells.values() if cell.n}
    return [row for row in meanings(report) if row[0] in found]


def meanings(report: Report) -> Iterator[tuple[str, str, str]]:
    """Of all marks."""
    cells = [cell for each in report.cells.values() for cell in each.values()]
    tests = {"paired t": "paired t-test over shared seeds", "Welch's t": "Welch's t-test where seeds are not shared"}
    done = " and ".join(
        tests.get(test, test) for test in sorted({p.test for p in report.pairs if p.test}, reverse=True)
    )
    yield BEST, "best", "the best mean of the column"
    ahead = ", or better than the best on the seeds that both have" if any(cell.ahead > 0 for cell in cells) else ""
    yield LIKE, "not told from the best", f"p > 0.05 by the {done}{ahead}"
    yield UNTOLD, "not compared", "too few seeds to tell whether it differs from the best"
