"""Score fields as arrows over a known density, and where a learned one is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from difflab.plots.points import Window, over_density
from difflab.plots.save import save

ARROWS = 21  # along a side
LONGEST = 1.0  # cells: the length at which arrows are cut
TYPICAL = 0.6  # the share of arrows of the true field that are shorter than the cut
COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
WRONG = 2.0  # relative error at which the colours of the error map end


class Field(NamedTuple):
    """Vectors at the places of `window.lattice(side)`, in the units of the score: one over those of the points."""

    name: str
    vectors: Float[np.ndarray, "side side 2"]


class Errors(NamedTuple):
    """Relative errors of a field by distance from the data, with their standard errors."""

    name: str
    distance: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float]


def quiver(axes: Axes, field: Field, window: Window, cut: float) -> None:
    """Arrows on a coarser grid; those longer than `cut` keep their direction and are drawn at that length."""
    side = len(field.vectors)
    few = np.unique(np.linspace(0, side - 1, min(ARROWS, side)).round().astype(int))
    places, vectors = window.lattice(side)[np.ix_(few, few)], field.vectors[np.ix_(few, few)]
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    shown = vectors * np.minimum(1, cut / np.maximum(length, 1e-12))
    cell = 2 * window.half / len(few)
    axes.quiver(
        places[..., 0],
        places[..., 1],
        shown[..., 0],
        shown[..., 1],
        angles="xy",
        scale_units="xy",
        scale=cut / (LONGEST * cell),
        pivot="mid",
        width=0.0042,
        headwidth=3.6,
        headlength=4.2,
        color="#222222",
    )
    axes.set_title(field.name, fontsize=11)


def relative(field: Field, true: Field) -> Float[np.ndarray, "side side"]:
    """|learned - true| / |true|, the denominator no smaller than a tenth of the typical length of the true field."""
    error = np.linalg.norm(field.vectors - true.vectors, axis=-1)
    length = np.linalg.norm(true.vectors, axis=-1)
    return error / np.maximum(length, 0.1 * np.median(length))


def score_fields(
    true: Field,
    learned: Sequence[Field],
    log_density: Float[np.ndarray, "side side"],
    curves: Sequence[Errors],
    window: Window,
    inside: float,
    path: Path,
) -> None:
    """A PNG: above the true field and the learned ones over the density, below their errors, by distance and as maps.

    Args:
        true: of the law at the noise level that the networks are asked about.
        learned: of the networks.
        log_density: of the same law, in nats, on the same places.
        curves: one for each network, or more.
        inside: log-density above which a place counts as inside; its level is drawn.
        path: of the PNG.
    """
    save(score_fields_figure(true, learned, log_density, curves, window, inside), path, 130)


def score_fields_figure(
    true: Field,
    learned: Sequence[Field],
    log_density: Float[np.ndarray, "side side"],
    curves: Sequence[Errors],
    window: Window,
    inside: float,
) -> Figure:
    """The picture of `score_fields`."""
    count = 1 + len(learned)
    figure = Figure(figsize=(4.5 * count, 8.9), layout="constrained")
    above, below = figure.subplots(2, count)
    cut = float(np.quantile(np.linalg.norm(true.vectors, axis=-1), TYPICAL))
    across, up = window.lattice(len(log_density)).transpose(2, 0, 1)
    for axes, field in zip(above, (true, *learned), strict=True):
        over_density(axes, log_density, window)
        quiver(axes, field, window, cut)
    by_distance(below[0], curves)
    last = None
    for axes, field in zip(below[1:], learned, strict=True):
        last = axes.imshow(
            relative(field, true), cmap="magma_r", vmin=0, vmax=WRONG, origin="lower", extent=window.extent
        )
        axes.set_title(f"relative error, {field.name}", fontsize=11)
        window.frame(axes)
    for axes in (*above, *below[1:]):
        axes.contour(across, up, log_density, [inside], colors="#c1272d", linewidths=1.1, linestyles="--")
    if last is not None:
        figure.colorbar(last, ax=list(below[1:]), extend="max", fraction=0.03, pad=0.01, ticks=[0, 0.5, 1, 1.5, 2])
    return figure


def by_distance(axes: Axes, curves: Sequence[Errors]) -> None:
    """Relative errors against the distance from the data."""
    for curve, colour in zip(curves, COLOURS, strict=False):
        axes.errorbar(
            curve.distance, curve.values, curve.errors, label=curve.name, color=colour, marker="o", ms=4, capsize=2.5
        )
    axes.axhline(1, color="0.35", ls="--", lw=1, label="no arrow at all")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_box_aspect(1)
    axes.set(xlabel="distance from the nearest data point", ylabel="error / length of the true score")
    axes.set_title("by distance from the data", fontsize=11)
    axes.grid(color="0.92")
    axes.legend(fontsize=8)
