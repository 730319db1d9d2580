"""What quality costs: time, memory and parameters against each metric."""

from math import isfinite, nan
from statistics import fmean

import plotly.graph_objects as go

from difflab.report.model import Cell, Metric, Report, Run, Variant
from difflab.report.page.charts.chart import (
    JOIN,
    Chart,
    Choice,
    Table,
    above,
    axis,
    meta,
    named,
    rounded,
)
from difflab.report.page.looks import Look
from difflab.report.page.words import number
from difflab.report.words import estimate

HEIGHT = 420
COSTS = {
    "seconds/train": "seconds of training",
    "seconds": "seconds of the whole run",
    "train/memory_gb": "memory in training, GB",
    "model/parameters": "parameters",
    "test/network_calls": "network calls for a sample",
}


def cost(report: Report, looks: dict[str, Look]) -> Chart | None:
    """A panel for each cost and metric; None where no run tells what it cost."""
    costs = [key for key in COSTS if any(isfinite(mean_cost(v, key)) for v in report.variants)]
    metrics = report.metrics
    if not costs or not metrics:
        return None
    figures = {f"{c}{JOIN}{m.key}": panel(c, m, report, looks) for c in costs for m in metrics}
    rows = tuple((v.name, *(number(mean_cost(v, key)) for key in costs), str(len(v.runs))) for v in report.variants)
    return Chart(
        "cost",
        "Cost against quality: each variant at the mean of its runs",
        "A marker is the mean over the seeds of a variant, its bar the 95% interval of the figure over seeds (none at "
        "n = 1); the hover text tells n. Times are comparable only between runs on the same machine.",
        figures,
        (
            Choice("Cost", tuple((key, COSTS[key]) for key in costs)),
            Choice("Figure", tuple((metric.key, metric.title) for metric in metrics)),
        ),
        Table(("variant", *(f"{COSTS[key]}, mean" for key in costs), "n"), rows),
    )


def of_run(run: Run, key: str) -> float:
    """What a run cost; nan where it does not tell."""
    return (run.seconds if run.seconds is not None else nan) if key == "seconds" else run.figures.get(key, nan)


def mean_cost(variant: Variant, key: str) -> float:
    """Over the runs that tell."""
    known = [value for value in (of_run(run, key) for run in variant.runs) if isfinite(value)]
    return fmean(known) if known else nan


def panel(key: str, metric: Metric, report: Report, looks: dict[str, Look]) -> go.Figure:
    """A marker for each variant that has both."""
    figure, xs, ys = go.Figure(), [], []
    for variant in report.variants:
        x, cell = mean_cost(variant, key), report.cells[metric.key].get(variant.name)
        if cell is not None and cell.n and isfinite(x):
            figure.add_trace(marker(looks[variant.name], x, cell, key))
            xs.append(x)
            ys.append(cell.mean)
    layout = above(named(metric), HEIGHT, xaxis=axis(COSTS[key], xs))
    figure.update_layout(layout, yaxis=axis(values=ys))
    return figure


def marker(look: Look, x: float, cell: Cell, key: str) -> go.Scatter:
    """A variant at its cost and quality."""
    return go.Scatter(
        x=rounded([x]),
        y=rounded([cell.mean]),
        error_y={"array": [cell.half if isfinite(cell.half) else 0], "thickness": 1.2},
        mode="markers",
        marker={"symbol": look.symbol, "size": 11},
        text=[f"<b>{look.label}</b><br>{estimate(cell.mean, cell.half, cell.n)}<br>{COSTS[key]}: {number(x)}"],
        hovertemplate="%{text}<extra></extra>",
        name=look.label,
        meta=meta(look),
    )
