"""Estimates with their errors, a row for each thing that they are of."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.figure import Figure

from difflab.plots.save import save

COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
MARKERS = "osD^v"


class Rows(NamedTuple):
    """A value and its standard error for each row."""

    values: Sequence[float]
    errors: Sequence[float]


def estimates(names: Sequence[str], panels: Mapping[str, Mapping[str, Rows]], title: str, path: Path) -> None:
    """A PNG with a panel for each quantity, and in it a row for each name.

    Args:
        names: of the rows, the first on top.
        panels: by what they show; in each, by series, the rows. A series without a name is the only one.
    """
    figure = Figure(figsize=(1.6 + 5.2 * len(panels), 1.6 + 0.55 * len(names)), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (what, series) in zip(places, panels.items(), strict=True):
        for i, (label, rows) in enumerate(series.items()):
            beside = 0.12 * (i - (len(series) - 1) / 2)
            y = [row + beside for row in range(len(names))]
            errors = [error if isfinite(error) else 0.0 for error in rows.errors]
            look = {"color": COLOURS[i % len(COLOURS)], "fmt": MARKERS[i % len(MARKERS)]}
            axes.errorbar(rows.values, y, xerr=errors, ms=5, capsize=3, lw=1.2, label=label or None, **look)
        axes.set(xlabel=what, yticks=range(len(names)), yticklabels=names)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        if any(series):
            axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    places[0].invert_yaxis()
    figure.suptitle(f"{title} (± one standard error)", fontsize=11)
    save(figure, path)
