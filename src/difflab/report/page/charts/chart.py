"""What every figure of the page has: panels to choose among, a caption, and its numbers as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from difflab.report.model import Metric
from difflab.report.page.looks import Look
from difflab.report.page.words import number

Numbers = Sequence[float | None] | np.ndarray
FEW = 3  # decades of an axis up to which more than powers of ten are named
INK = -1  # a colour of no variant: that of the text, paler
JOIN = "|"  # between the values of several choices
DIGITS = 5  # significant ones of drawn numbers


class Choice(NamedTuple):
    """What a reader selects: its label, and (value, text) of the options."""

    label: str
    options: tuple[tuple[str, str], ...]


class Table(NamedTuple):
    """Numbers of a figure for those who read them."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A figure with controls.

    Attributes:
        name: in the page.
        title: what it shows, also to those who do not see it.
        caption: how to read it.
        figures: by the values of the choices, joined.
        choices: may be none.
        table: its numbers; None where another table of the page has them.
        legend: whether the figure needs one.
    """

    name: str
    title: str
    caption: str
    figures: Mapping[str, go.Figure]
    choices: tuple[Choice, ...] = ()
    table: Table | None = None
    legend: bool = field(default=True)


def axis(title: str = "", values: Sequence[float] = (), ratio: float = 30.0, **more: object) -> dict[str, object]:
    """Of a figure, without colours; logarithmic where positive values differ by more than the ratio."""
    kind: dict[str, object] = {"type": "linear", "exponentformat": "power"}
    if values and min(values) > 0 and max(values) > ratio * min(values):
        at = ticks(min(values), max(values))
        kind = {"type": "log", "tickvals": at, "ticktext": [power(value) for value in at]}
    return {"title": {"text": title}, **kind, **more}


def ticks(least: float, greatest: float) -> list[float]:
    """Round numbers along a logarithmic axis: powers of ten, with their double and fivefold where those are few."""
    low, high = floor(log10(least)), ceil(log10(greatest))
    steps = (1, 2, 5) if high - low <= FEW else (1,)
    return [step * 10.0**decade for decade in range(low, high + 1) for step in steps]


def power(value: float) -> str:
    """A number, as a power of ten where it would be long."""
    return number(value) if 1e-3 <= value < 1e5 else f"10<sup>{round(log10(value))}</sup>"


def above(label: str, height: int, **layout: object) -> dict[str, object]:
    """A layout whose values are named above it, where a long name has room; `label` is text, not plotly's markup."""
    return {"meta": {"label": label}, "height": height, **layout}


def named(metric: Metric) -> str:
    """What the values of a metric are, and which way is better."""
    return f"{metric.title} ({'higher' if metric.higher else 'lower'} is better)"


def meta(look: Look) -> dict[str, int]:
    """What the browser needs to colour a trace and to hide it with its variant."""
    return {"colour": look.colour, "variant": look.index}


def line(look: Look, x: Numbers, y: Numbers, hover: Sequence[str] | None = None, markers: bool = True) -> go.Scatter:
    """A variant's line; `hover` is what is told of each point."""
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers" if markers else "lines",
        line={"dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 8},
        hovertemplate="%{text}<extra></extra>",
        text=hover,
        name=look.label,
        meta=meta(look),
    )


def rounded(values: Sequence[float]) -> list[float]:
    """As many digits as can be seen."""
    return [float(f"{value:.{DIGITS}g}") for value in values]
