"""Variants beside each other: a dot and an interval for each, a panel for each figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from difflab.plots.curves import COLOURS, words
from difflab.plots.save import save

LEVEL = 0.05


class Cell(NamedTuple):
    """A figure of a variant.

    Attributes:
        values: of its runs.
        mean: of them.
        interval: half the width of its 95% t-interval; nan for a single run.
        best: whether no variant has a better mean.
        p: of no difference to the best, adjusted; nan for the best, and where nothing tells.
    """

    values: tuple[float, ...]
    mean: float
    interval: float
    best: bool
    p: float


def sweep_table(columns: Mapping[str, Mapping[str, Cell]], path: Path) -> None:
    """Means with intervals, single runs as small dots beside them; filled where not told from the best.

    Args:
        columns: by figure, the cells by variant, the same in each.
        path: of the PNG.
    """
    variants = list(next(iter(columns.values())))
    figure = Figure(figsize=(1.2 + 0.07 * max(map(len, variants)) + 3.1 * len(columns), 1.5 + 0.42 * len(variants)))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (name, cells) in zip(panels, columns.items(), strict=True):
        for row, cell in enumerate(cells.values()):
            draw(axes, row, cell)
        axes.set_xlabel(words(name).replace("bits_per_dim_", "bits/dim, "), fontsize=9)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(variants)), variants, fontsize=9)
    panels[0].set_ylim(len(variants) - 0.5, -0.5)
    figure.suptitle(
        "mean and 95% interval over seeds; red: best, filled: not told from it or not compared", fontsize=10
    )
    save(figure, path)


def draw(axes: Axes, row: int, cell: Cell) -> None:
    """One cell."""
    if not cell.values:
        return
    colour = COLOURS[3] if cell.best else COLOURS[0]
    filled = not cell.p <= LEVEL  # nan for the best, and for what was not compared
    if len(cell.values) > 1:
        axes.plot(cell.values, [row + 0.22] * len(cell.values), ".", color="0.55", ms=4)
    error = cell.interval if cell.interval == cell.interval else 0.0
    look = {"color": colour, "mfc": colour if filled else "white", "ms": 6, "capsize": 3, "lw": 1.5}
    axes.errorbar([cell.mean], [row], xerr=[error], fmt="o", **look)
