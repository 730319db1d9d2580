"""Quality along a setting of the evaluation: network calls for a sample, or the length of the average over weights."""

from collections.abc import Iterator, Sequence
from math import isfinite

import plotly.graph_objects as go

from difflab.report.model import Metric, Report
from difflab.report.page.charts.chart import (
    JOIN,
    Chart,
    Choice,
    Table,
    above,
    axis,
    line,
    named,
)
from difflab.report.page.charts.evaluations import LENGTH, Curve, Point, flat, gathered
from difflab.report.page.looks import Look, plain
from difflab.report.page.words import number

CALLS = "test/network_calls"
HEIGHT = 420
ALL = "*"  # no kind of evaluation is called so
SIZES, WORDS = (8, 12, 16), ("Small", "larger", "largest")  # of the markers of each kind
BARS = (
    "A marker is the mean over seeds, its bar the 95% interval over them; a hollow marker is a single seed, without a "
    "bar. Lines join only points of the same seeds."
)


def network_calls(report: Report, looks: dict[str, Look]) -> Chart | None:
    """Each metric against the network calls of a sample; None where no variant has two numbers of them."""
    title = "Quality against network calls for a sample"
    found = gathered(report, lambda told: told.get(CALLS), ("sampler.steps",))
    return chart("calls", title, "network calls for a sample", found, report, looks)


def ema_lengths(report: Report, looks: dict[str, Look]) -> Chart | None:
    """Each metric against the EMA length; None where no variant was evaluated at two of them."""
    title = "Quality against the length of the average over the weights"
    found = gathered(report, lambda told: flat(told.get("settings")).get(LENGTH), (LENGTH,))
    return chart("ema", title, "EMA length (width / time trained)", found, report, looks)


def chart(
    name: str, title: str, x: str, found: dict[str, list[Curve]], report: Report, looks: dict[str, Look]
) -> Chart | None:
    """A panel for each metric that has a curve."""
    metrics = [metric for metric in report.metrics if found.get(metric.key)]
    if not metrics:
        return None
    kinds = tuple(dict.fromkeys(curve.settings for metric in metrics for curve in found[metric.key]))
    choices = [Choice("Figure", tuple((metric.key, metric.title) for metric in metrics))]
    if len(kinds) > 1:
        choices.append(Choice("Evaluated with", ((ALL, "any"), *((kind, kind or "–") for kind in kinds))))
    figures = {
        JOIN.join(key): panel(metric, x, curves, looks, kinds)
        for metric in metrics
        for key, curves in parted(metric, found[metric.key], kinds)
    }
    rows = tuple(row for metric in metrics for curve in found[metric.key] for row in rows_of(metric, curve))
    caption = f"{BARS} {sizes(kinds)}".strip()
    return Chart(name, title, caption, figures, tuple(choices), Table(("figure", "variant", x, "value", "n"), rows))


def parted(
    metric: Metric, curves: Sequence[Curve], kinds: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], Sequence[Curve]]]:
    """All curves, and those of each kind of evaluation where there are several, by the values of the choices."""
    if len(kinds) < 2:
        yield (metric.key,), curves
        return
    yield (metric.key, ALL), curves
    for kind in kinds:
        yield (metric.key, kind), [curve for curve in curves if curve.settings == kind]


def sizes(kinds: Sequence[str]) -> str:
    """What markers tell apart."""
    if len(kinds) < 2:
        return ""
    alike = [kinds[i :: len(SIZES)] for i in range(len(SIZES))]
    named = [", ".join(kind or "–" for kind in own) for own in alike]
    return f"{'; '.join(f'{word} markers: {own}' for word, own in zip(WORDS, named, strict=True) if own)}."


def rows_of(metric: Metric, curve: Curve) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    for p in curve.points:
        yield metric.title, " ".join((curve.variant, curve.settings)).strip(), number(p.x), words(p), str(p.n)


def words(point: Point) -> str:
    """A value with its interval, or with the error within its only run."""
    if isfinite(point.half):
        return f"{number(point.mean)} ± {point.half:.2g} (95% interval over seeds)"
    error = f" (Monte-Carlo standard error {point.error:.2g})" if isfinite(point.error) else ""
    return f"{number(point.mean)}{error}"


def panel(metric: Metric, x: str, curves: Sequence[Curve], looks: dict[str, Look], kinds: Sequence[str]) -> go.Figure:
    """A line for each curve."""
    figure = go.Figure([trace(curve, looks[curve.variant], kinds.index(curve.settings)) for curve in curves])
    xs = sorted({p.x for curve in curves for p in curve.points})
    ys = [p.mean for curve in curves for p in curve.points]
    ticks = {"tickvals": xs, "ticktext": [number(v) for v in xs]} if len(xs) <= 8 else {}
    layout = above(named(metric), HEIGHT, xaxis=axis(x, xs, 4, **ticks))
    figure.update_layout(layout, yaxis=axis(values=ys))
    return figure


def trace(curve: Curve, look: Look, kind: int) -> go.Scatter:
    """Points, joined where their seeds are the same."""
    points = broken(curve.points)
    head = f"{look.label} {plain(curve.settings)}".strip()
    text = ["" if p is None else f"{head}<br>{number(p.x)}: {words(p)}, n = {p.n}" for p in points]
    found = line(look, [p.x if p else None for p in points], [p.mean if p else None for p in points], text)
    found.marker.size = SIZES[kind % len(SIZES)]
    found.marker.symbol = [look.symbol if p is None or p.n > 1 else f"{look.symbol}-open" for p in points]
    found.error_y = {
        "array": [p.half if p and isfinite(p.half) else None for p in points],
        "thickness": 1.2,
        "width": 0,
    }
    return found


def broken(points: Sequence[Point]) -> list[Point | None]:
    """Nothing between points of different seeds, where plotly draws no line."""
    found: list[Point | None] = []
    for before, point in zip((None, *points), points, strict=False):
        found += [point] if before is None or before.seeds == point.seeds else [None, point]
    return found
