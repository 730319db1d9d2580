"""Strips: a process as a row of panels, one for each of some times, for points and for pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from difflab.plots.points import DATA, SAMPLES, Window, dots
from difflab.plots.save import save
from difflab.plots.score_field import Field, quiver

MAP = "turbo"
CUT = 0.3  # the share of arrows that are shorter than the longest drawn: small ones, near the data, are to be seen
ALIKE = 3.0  # panels whose widths differ by less are drawn to one scale


class Strip(NamedTuple):
    """One process of points, at as many times as there are panels in a row.

    Attributes:
        name: written before the row.
        titles: of the panels.
        points: [n, 2] for each panel.
        hues: a number for each point, [n], the same at all times: what its colour says. None: one colour.
        arrows: for each panel a field on the lattice of its square, `frames` says which; drawn over paler points.
    """

    name: str
    titles: Sequence[str]
    points: Sequence[Float[Tensor, "n 2"]]
    hues: Float[Tensor, " n"] | None = None
    arrows: Sequence[Float[np.ndarray, "side side 2"]] | None = None


def strips(rows: Sequence[Strip], path: Path) -> None:
    """A PNG with a row for each process; the panels of a column show the same square.

    Args:
        rows: with the same number of panels each.
        path: of the PNG.
    """
    save(strips_figure(rows), path, 130)


def strips_figure(rows: Sequence[Strip]) -> Figure:
    """The picture of `strips`."""
    columns = len(rows[0].points)
    figure = Figure(figsize=(2.5 * columns + 0.4, 2.75 * len(rows)), layout="constrained")
    places = figure.subplots(len(rows), columns, squeeze=False)
    windows = frames([[row.points[c] for row in rows] for c in range(columns)])
    for number, (axes_of_row, row) in enumerate(zip(places, rows, strict=True)):
        for c, axes in enumerate(axes_of_row):
            panel(axes, row, c, windows[c])
            windows[c].frame(axes)
            if number == 0 or row.titles != rows[number - 1].titles:
                axes.set_title(row.titles[c], fontsize=10)
        axes_of_row[0].set_ylabel(row.name, fontsize=10.5)
    return figure


def panel(axes: Axes, row: Strip, c: int, window: Window) -> None:
    """One time of a process: its points, or its arrows over them."""
    if row.arrows is not None:
        dots(axes, row.points[c], DATA, alpha=0.4)
        length = np.linalg.norm(row.arrows[c], axis=-1)
        quiver(axes, Field("", row.arrows[c]), window, float(np.quantile(length, CUT)))
    elif row.hues is not None:
        x, y = row.points[c].double().numpy().T
        size = float(np.clip(4000 / len(x), 1.5, 12))
        axes.scatter(x, y, size, row.hues.double().numpy(), cmap=MAP, lw=0)
    else:
        dots(axes, row.points[c], "#1f4e79")


def frames(columns: Sequence[Sequence[Float[Tensor, "n 2"]]]) -> list[Window]:
    """A square for each column: the same for all where one scale serves, else around the points of each."""
    own = []
    for points in columns:
        around = [Window.around(p) for p in points]
        extents = np.array([w.extent for w in around])
        low, high = extents[:, [0, 2]].min(0), extents[:, [1, 3]].max(0)
        x, y = (low + high) / 2
        own.append(Window(float(x), float(y), float((high - low).max()) / 2))
    widest = max(own, key=lambda w: w.half)
    return [widest] * len(own) if widest.half < ALIKE * min(w.half for w in own) else own


def trajectories(paths: Float[Tensor, "times n 2"], reference: Float[Tensor, "m 2"], title: str, path: Path) -> None:
    """A PNG of the ways of some points from noise to data, over held-out data.

    Args:
        paths: every state, the noisiest first; the colour of a way goes from light to dark as it nears its end.
        reference: data.
        path: of the PNG.
    """
    save(trajectories_figure(paths, reference, title), path, 130)


def trajectories_figure(paths: Float[Tensor, "times n 2"], reference: Float[Tensor, "m 2"], title: str) -> Figure:
    """The picture of `trajectories`."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    dots(axes, reference, DATA, alpha=0.6)
    ways = paths.double().numpy().transpose(1, 0, 2)
    pieces = np.stack([ways[:, :-1], ways[:, 1:]], 2)
    n, steps = pieces.shape[:2]
    age = np.broadcast_to(np.linspace(0, 1, steps), (n, steps)).ravel()
    lines = LineCollection(list(pieces.reshape(-1, 2, 2)), array=age, cmap="viridis_r", lw=0.9, alpha=0.9)
    axes.add_collection(lines)
    first, last = ways[:, 0], ways[:, -1]
    axes.scatter(first[:, 0], first[:, 1], 16, "white", edgecolors="0.3", lw=0.8, zorder=3, label="start: noise")
    axes.scatter(last[:, 0], last[:, 1], 16, SAMPLES, lw=0, zorder=4, label="end: sample")
    ends = frames([[paths[0], reference], [paths[-1], reference]])
    max(ends, key=lambda w: w.half).frame(axes)
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=8, loc="upper right")
    return figure


def picture_strips(
    rows: Sequence[tuple[str, UInt8[Tensor, "columns c h w"]]], titles: Sequence[str], path: Path
) -> None:
    """A PNG of rows of pictures, one column for each time, with titles above and names before the rows.

    Args:
        rows: name and pictures.
        titles: of the columns.
        path: of the PNG.
    """
    save(picture_strips_figure(rows, titles), path, 150)


def picture_strips_figure(rows: Sequence[tuple[str, UInt8[Tensor, "columns c h w"]]], titles: Sequence[str]) -> Figure:
    """The picture of `picture_strips`."""
    columns = len(titles)
    height, wide = rows[0][1].shape[-2:]
    figure = Figure(figsize=(1.05 * columns + 1.2, 1.05 * len(rows) * height / wide + 0.45), layout="constrained")
    for number, (axes, (name, pictures)) in enumerate(
        zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True)
    ):
        width = pictures.shape[-1] + 1
        grid = make_grid(pictures, columns, padding=1, pad_value=255)
        axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
        centres = [1 + width * c + (width - 2) / 2 for c in range(columns)]
        axes.set_xticks(centres, titles if number == 0 else [""] * columns, fontsize=9)
        axes.set_yticks([])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
    return figure
