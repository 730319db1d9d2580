"""Figures with their errors along a setting."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from difflab.plots.save import save

COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
MARKERS = "osD^v<>PX*"
MOST_TICKS = 10
DECADE = 10.0  # a range of values from which the axis is logarithmic
NEAR = 4.0  # a floor further below the curves would only press them flat


class Curve(NamedTuple):
    """Values at rising x with their standard errors, nan where none is known; without a name it is the only one."""

    name: str
    x: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float]


def draw(axes: Axes, curves: Sequence[Curve], floor: float | None) -> None:
    """Each curve in a colour and with a marker of its own, error bars, and the floor as a dashed line.

    Args:
        floor: what real data of the test part has; None where it is not known.
    """
    for i, curve in enumerate(curves):
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i // len(COLOURS) % len(MARKERS)]}
        errors = [error if isfinite(error) else 0.0 for error in curve.errors]
        axes.errorbar(curve.x, curve.values, errors, label=curve.name, ms=4.5, lw=1.5, capsize=3, **look)
    values = [v for curve in curves for v in curve.values if isfinite(v)]
    if floor is not None:
        near = not values or floor > min(values) / NEAR
        label = f"floor: real data, {floor:.3g}{'' if near else ', far below'}"
        axes.axhline(floor if near else nan, color="0.35", ls="--", lw=1.1, label=label)
        values += [floor] if near else []
    if values and min(values) > 0 and max(values) > DECADE * min(values):
        axes.set_yscale("log")
    ticks = sorted({x for curve in curves for x in curve.x})
    axes.set_xscale("log")
    if len(ticks) <= MOST_TICKS:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    if floor is not None or any(curve.name for curve in curves):
        axes.legend(fontsize=8)


def words(name: str) -> str:
    """What a figure is called in a picture."""
    short = name.removeprefix("test/")
    if short.startswith("fd_"):
        return f"Frechet distance, {short.removeprefix('fd_')} features"
    return {"fid": "FID", "bits_per_dim": "bits/dim"}.get(short, short)


def panels(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], x: str, title: str, path: Path) -> None:
    """A PNG with a panel for each figure.

    Args:
        curves: by figure.
        floors: by figure, what real data of the test part has.
        x: what the curves run along.
    """
    picture = Figure(figsize=(6.4 * len(curves), 4.4), layout="constrained")
    places = picture.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, lines) in zip(places, curves.items(), strict=True):
        draw(axes, lines, floors.get(name))
        axes.set(xlabel=x, ylabel=words(name))
    picture.suptitle(f"{title} (± one standard error)", fontsize=11)
    save(picture, path)
