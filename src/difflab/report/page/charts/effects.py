"""What each level of a factor does, averaged over the settings of the others, with its interval."""

from collections.abc import Sequence
from math import isfinite, isnan

import plotly.graph_objects as go

from difflab.report.model import Effect, Metric, Report
from difflab.report.page.charts.chart import INK, Chart, Choice, Table, above, axis, rounded
from difflab.report.page.looks import LONGEST, plain
from difflab.report.tables import interval_of
from difflab.report.words import p_value, shown

ROW, EDGES = 34, 54  # pixels of an effect, and of the axis
HEADINGS = ("figure", "factor", "level", "against", "difference, 95% interval over seeds", "settings", "p", "p (Holm)")


def effects(report: Report) -> Chart | None:
    """A panel a metric; None where no factor has two levels to compare."""
    told = [(m, [e for e in report.effects if e.metric == m.key and isfinite(e.mean)]) for m in report.metrics]
    shown = [(metric, found) for metric, found in told if found]
    if not shown:
        return None
    figures = {metric.key: panel(metric, found) for metric, found in shown}
    rows = tuple(row(metric, effect) for metric, found in shown for effect in found)
    return Chart(
        "effects",
        "Main effect of each factor: difference of a level from the reference level",
        "A point is the difference between two levels of a factor, averaged over the settings of the other factors "
        "that have both levels, in the seeds used (how many of the settings is in the hover text and the table); the "
        "bar is its 95% interval over seeds (none at n = 1). Where it crosses 0, the difference cannot be told from "
        "none at 5%; intervals are not adjusted for several questions, p (Holm) is.",
        figures,
        (Choice("Figure", tuple((metric.key, metric.title) for metric, _ in shown)),),
        Table(HEADINGS, rows),
        legend=False,
    )


def panel(metric: Metric, effects: Sequence[Effect]) -> go.Figure:
    """Effects on one metric, the first on top."""
    names = [plain(cut(f"{e.factor}: {shown(e.level)} – {shown(e.reference)}")) for e in effects]
    places = [-k for k in range(len(effects))]
    trace = go.Scatter(
        x=rounded([e.mean for e in effects]),
        y=places,
        error_x={"array": [e.half if isfinite(e.half) else 0 for e in effects], "thickness": 1.5},
        mode="markers",
        marker={"symbol": "circle", "size": 10},
        text=[hover(e) for e in effects],
        hovertemplate="%{text}<extra></extra>",
        meta={"colour": 0},
    )
    zero = go.Scatter(
        x=[0, 0],
        y=[0.6, 0.4 - len(effects)],
        mode="lines",
        line={"dash": "dot", "width": 1.5},
        hoverinfo="skip",
        meta={"colour": INK},
    )
    better = "right is better" if metric.higher else "left is better"
    return go.Figure(
        [zero, trace],
        above(
            f"Difference in {metric.title} ({better})",
            EDGES + ROW * len(effects),
            xaxis=axis(zeroline=False),
            yaxis={
                "tickvals": places,
                "ticktext": names,
                "range": [0.4 - len(effects), 0.6],
                "zeroline": False,
                "automargin": True,
            },
        ),
    )


def cut(text: str) -> str:
    return text if len(text) <= LONGEST + 10 else f"{text[: LONGEST + 9]}…"


def difference(e: Effect) -> str:
    """Its size, with an interval where there is one."""
    return interval_of(e.mean, e.half, e.n)


def settings(e: Effect) -> str:
    """How many of those of the other factors have both levels."""
    return f"{e.cells} of {e.of}" if e.cells < e.of else str(e.cells)


def hover(e: Effect) -> str:
    """What is shown over an effect."""
    parts = [f"<b>{plain(e.factor)}: {plain(shown(e.level))} – {plain(shown(e.reference))}</b>", difference(e)]
    parts += [] if isnan(e.holm) else [f"p = {p_value(e.p)}, {p_value(e.holm)} by Holm"]
    where = f": {plain('; '.join(e.where))}" if e.cells < e.of else ""
    return "<br>".join([*parts, f"over {settings(e)} setting{'s' * (settings(e) != '1')} of the other factors{where}"])


def row(metric: Metric, e: Effect) -> tuple[str, ...]:
    """Of the table."""
    told = (metric.title, e.factor, shown(e.level), shown(e.reference), difference(e))
    return (*told, settings(e), p_value(e.p), p_value(e.holm))
