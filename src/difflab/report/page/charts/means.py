"""The mean of each variant with its interval, a panel a metric, and the figure of each seed beside it."""

from collections.abc import Mapping
from math import isfinite

import plotly.graph_objects as go

from difflab.report.model import Cell, Metric, Report
from difflab.report.page.charts.chart import INK, Chart, above, axis, named, rounded
from difflab.report.page.looks import Look, plain
from difflab.report.page.words import number
from difflab.report.words import estimate

ROW, EDGES = 30, 54  # pixels of a variant, and of the axis
DENSE, LEAST = 24, 15  # variants above which rows are narrower, and their height
NEAR = 3.0  # spans of the points within which a floor is drawn


def means(report: Report, looks: dict[str, Look]) -> list[Chart]:
    """A chart for each metric that some variant has."""
    return [panel(metric, i, report.cells[metric.key], looks) for i, metric in enumerate(report.metrics)]


def panel(metric: Metric, i: int, cells: Mapping[str, Cell], looks: dict[str, Look]) -> Chart:
    """One metric; the first variant on top."""
    shown = {name: cell for name, cell in cells.items() if name in looks and cell.n}
    places = {name: -k for k, name in enumerate(shown)}
    row = ROW if len(shown) <= DENSE else LEAST
    figure = go.Figure([seeds(shown, places, looks), means_of(shown, places, looks)])
    x = [value for cell in shown.values() for value in (*cell.values.values(), *ends(cell))]
    if isfinite(metric.floor) and x and min(x) - NEAR * (max(x) - min(x)) <= metric.floor <= max(x) * 2:
        figure.add_trace(floor(metric, len(shown)))
    figure.update_layout(
        above(named(metric), EDGES + row * max(1, len(shown))),
        xaxis=axis(),
        yaxis={
            "tickvals": list(places.values()),
            "ticktext": [looks[name].label for name in shown],
            "range": [0.6 - len(shown), 0.6],
            "zeroline": False,
            "automargin": True,
        },
    )
    title = f"{metric.title}: mean of each variant with its 95% interval over seeds"
    return Chart(f"means-{i}", title, "", {"": figure}, legend=False)


def ends(cell: Cell) -> tuple[float, ...]:
    return (cell.mean - cell.half, cell.mean + cell.half) if isfinite(cell.half) else ()


def hover(name: str, cell: Cell) -> str:
    """What is shown over a mean."""
    values = ", ".join(f"{plain(seed)}: {number(value)}" for seed, value in list(cell.values.items())[:12])
    lines = [f"<b>{plain(name)}</b>", estimate(cell.mean, cell.half, cell.n), f"seeds {values}"]
    if isfinite(cell.stderr):
        lines.append(f"Monte-Carlo standard error within a run {cell.stderr:.2g}")
    return "<br>".join(lines)


def means_of(cells: dict[str, Cell], places: dict[str, int], looks: dict[str, Look]) -> go.Scatter:
    """Means and intervals."""
    return go.Scatter(
        x=rounded([cell.mean for cell in cells.values()]),
        y=list(places.values()),
        error_x={"array": [cell.half if isfinite(cell.half) else 0 for cell in cells.values()], "thickness": 1.5},
        mode="markers",
        marker={"symbol": [looks[name].symbol for name in cells], "size": 10},
        text=[hover(name, cell) for name, cell in cells.items()],
        hovertemplate="%{text}<extra></extra>",
        meta={"colour": [looks[name].colour for name in cells]},
    )


def seeds(cells: dict[str, Cell], places: dict[str, int], looks: dict[str, Look]) -> go.Scatter:
    """The figure of each run, as a tick."""
    each = [(name, seed, value) for name, cell in cells.items() for seed, value in cell.values.items()]
    return go.Scatter(
        x=rounded([value for *_, value in each]),
        y=[places[name] for name, *_ in each],
        mode="markers",
        marker={"symbol": "line-ns", "size": 12, "line": {"width": 1.5}},
        text=[f"{plain(name)}<br>seed {plain(seed)}: {number(value)}" for name, seed, value in each],
        hovertemplate="%{text}<extra></extra>",
        meta={"colour": [looks[name].colour for name, *_ in each], "pale": True},
    )


def floor(metric: Metric, n: int) -> go.Scatter:
    """What real data has."""
    return go.Scatter(
        x=[metric.floor] * 2,
        y=[0.6, 0.6 - n],
        mode="lines",
        line={"dash": "dot", "width": 1.5},
        text=[f"real data: {number(metric.floor)}"] * 2,
        hovertemplate="%{text}<extra></extra>",
        meta={"colour": INK},
    )
