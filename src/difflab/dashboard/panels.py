"""Panels of W&B, with the choices that all of ours share."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr

from difflab.dashboard.factors import Factor
from difflab.dashboard.keys import STEP

COLUMNS = 24  # of a report's page


def lines(title: str, *keys: str, log: bool = False, by: Factor | None = None) -> Any:
    """Curves over optimizer steps; with a factor the mean of its runs and their standard error."""
    return wr.LinePlot(title=title, x=STEP, y=list(keys), log_y=log or None, title_x="optimizer steps", **means(by))


def bars(title: str, *keys: str, by: Factor | None = None) -> Any:
    """The last value of each run; with a factor the mean of its runs and their standard error."""
    return wr.BarPlot(title=title, metrics=list(keys), **means(by))


def means(by: Factor | None) -> dict[str, Any]:
    """How the runs of a level become one."""
    if by is None:
        return {}
    return {"groupby": wr.Config(by.path), "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}


def points(title: str, x: str, y: str, log_x: bool = False) -> Any:
    """A figure against another one, a point for each run."""
    return wr.ScatterPlot(title=title, x=wr.SummaryMetric(x), y=wr.SummaryMetric(y), log_x=log_x or None)


def against(title: str, by: Factor, y: str) -> Any:
    """A figure against a factor, a point for each run."""
    return wr.ScatterPlot(title=title, x=wr.Config(by.path), y=wr.SummaryMetric(y))


def parallel(title: str, factors: Sequence[Factor], *keys: str) -> Any:
    """A line for each run through its choices and its figures."""
    column = wr.ParallelCoordinatesPlotColumn
    chosen = [column(metric=wr.Config(factor.path), display_name=factor.name) for factor in factors]
    layout = wr.Layout(w=COLUMNS, h=10)
    return wr.ParallelCoordinatesPlot(
        title=title, columns=[*chosen, *(column(metric=wr.SummaryMetric(key)) for key in keys)], layout=layout
    )


def importance(key: str) -> Any:
    """Which values of the config a figure depends on."""
    return wr.ParameterImportancePlot(with_respect_to=key, layout=wr.Layout(w=12, h=8))


def pictures(title: str, *keys: str) -> Any:
    """A row for each run, a column for each step."""
    layout = wr.Layout(w=COLUMNS, h=10)
    return wr.MediaBrowser(
        title=title, media_keys=list(keys), mode="grid", grid_x_axis="step", grid_y_axis="run", layout=layout
    )


def table(key: str) -> Any:
    """The rows that a run has logged."""
    return wr.WeavePanelSummaryTable(table_name=key)


def curve(title: str, table: str, x: str, y: str, line: str | None = None) -> Any:
    """A column of logged tables against another one.

    Args:
        line: the column that says which line a row belongs to.
    """
    fields = {"x": x, "y": y} | ({"stroke": line} if line else {})
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": table}},
        chart_name="wandb/line/v0",
        chart_fields=fields,
        chart_strings={"title": title},
    )


def differences() -> Any:
    """The values in which the configs of runs differ, and their figures, side by side."""
    return wr.RunComparer(diff_only="split", layout=wr.Layout(w=COLUMNS, h=12))


def placed(panels: Sequence[Any]) -> list[Any]:
    """The same panels from left to right, in as many rows as it takes."""
    x = y = height = 0
    for panel in panels:
        layout = panel.layout
        if x + layout.w > COLUMNS:
            x, y, height = 0, y + height, 0
        layout.x, layout.y = x, y
        x, height = x + layout.w, max(height, layout.h)
    return list(panels)
