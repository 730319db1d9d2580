"""Differences of two variants: all of them, or those from the best where there are too many to read."""

from math import isfinite
from typing import NamedTuple

from difflab.report.model import Metric, Pair, Report
from difflab.report.tables import interval_of
from difflab.report.words import p_value

MOST = 400  # rows of the table
SHOWN = 2000  # of those from the best, which are as many as there are variants


class Row(NamedTuple):
    """A pair, its numbers also as a reader sees them."""

    figure: str
    a: str
    b: str
    mean: float
    difference: str
    test: str
    p: float
    p_text: str
    holm: float
    holm_text: str


class Differences(NamedTuple):
    """The rows that are shown, and how many pairs the report has."""

    rows: tuple[Row, ...]
    total: int


def differences(report: Report) -> Differences:
    """The pairs that something can be told about."""
    titles = {metric.key: metric.title for metric in report.metrics}
    pairs = [pair for pair in report.pairs if isfinite(pair.mean)]
    shown = pairs if len(pairs) <= MOST else with_best(report, pairs)[:SHOWN]
    return Differences(tuple(row(pair, titles) for pair in shown), len(pairs))


def with_best(report: Report, pairs: list[Pair]) -> list[Pair]:
    """Those of them that compare with the best of their figure."""
    best = {metric.key: best_of(report, metric) for metric in report.metrics}
    return [pair for pair in pairs if {pair.a, pair.b} & best.get(pair.metric, set())]


def best_of(report: Report, metric: Metric) -> set[str]:
    return {name for name, cell in report.cells[metric.key].items() if cell.best}


def row(pair: Pair, titles: dict[str, str]) -> Row:
    """Of the table."""
    told = interval_of(pair.mean, pair.half, pair.n)
    tested = (pair.test, pair.p, p_value(pair.p), pair.holm, p_value(pair.holm))
    return Row(titles[pair.metric], pair.a, pair.b, pair.mean, told, *tested)
