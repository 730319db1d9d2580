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
from difflab.report.page.charts.evaluations import Curve, Point, flat, gathered
from difflab.report.page.looks import Look, plain
from difflab.report.page.words import number

CALLS, LENGTH = "test/network_calls", "ema.length"
HEIGHT = 420
ALL = "*"  # no kind of evaluation is called so
FILLS, WORDS = ("", "-open", "-open-dot"), ("open", "open with a dot")  # of the markers of each kind
ERRORS = (
    "Bars are 95% intervals over seeds (n in the hover text and the table); at n = 1 they are one Monte-Carlo standard "
    "error, where that is known."
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
    caption = f"{ERRORS} {filling(kinds)}".strip()
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


def filling(kinds: Sequence[str]) -> str:
    """What markers tell apart."""
    if len(kinds) < 2:
        return ""
    first, *others = ([kind for kind in kinds if kinds.index(kind) % len(FILLS) == i] for i in range(len(FILLS)))
    told = [
        f"Filled markers: {', '.join(first)}",
        *(f"{w}: {', '.join(k)}" for w, k in zip(WORDS, others, strict=True) if k),
    ]
    return f"{'; '.join(told)}."


def rows_of(metric: Metric, curve: Curve) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    for p in curve.points:
        yield metric.title, " ".join((curve.variant, curve.settings)).strip(), number(p.x), words(p), str(p.n)


def words(point: Point) -> str:
    """A value with its error bar, and what that is."""
    return number(point.mean) + (f" ± {point.half:.2g} ({point.what})" if isfinite(point.half) else "")


def panel(metric: Metric, x: str, curves: Sequence[Curve], looks: dict[str, Look], kinds: Sequence[str]) -> go.Figure:
    """A line for each curve."""
    figure = go.Figure()
    for curve in curves:
        look = looks[curve.variant]
        head = f"{look.label} {plain(curve.settings)}".strip()
        text = [f"{head}<br>{number(p.x)}: {words(p)}, n = {p.n}" for p in curve.points]
        trace = line(look, [p.x for p in curve.points], [p.mean for p in curve.points], text)
        trace.marker.symbol = f"{look.symbol}{FILLS[kinds.index(curve.settings) % len(FILLS)]}"
        trace.error_y = {"array": [p.half if isfinite(p.half) else 0 for p in curve.points], "thickness": 1.2}
        figure.add_trace(trace)
    xs = sorted({p.x for curve in curves for p in curve.points})
    ys = [p.mean for curve in curves for p in curve.points]
    ticks = {"tickvals": xs, "ticktext": [number(v) for v in xs]} if len(xs) <= 8 else {}
    layout = above(named(metric), HEIGHT, xaxis=axis(x, xs, 4, **ticks))
    figure.update_layout(layout, yaxis=axis(values=ys))
    return figure
