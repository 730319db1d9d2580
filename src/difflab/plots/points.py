"""Points of the plane: samples over held-out data, and over the density of a known law."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from difflab.plots.save import save

SAMPLES, DATA = "#c1272d", "#9aa5b1"
MARGIN = 0.06  # of the longer side, around the points
TAIL = 0.002  # the share of stray points on each side that does not widen the window
DEPTH, PALE = 6.0, 3.0  # nats from the highest density to white, and to a blue too dark for what is drawn over it


class Window(NamedTuple):
    """A square of the plane: its centre and half its side."""

    x: float
    y: float
    half: float

    @classmethod
    def around(cls, points: Float[Tensor, "n 2"]) -> "Window":
        """The square that holds all points but a few strays, and those that are not finite."""
        inside = points[points.isfinite().all(1)].detach().cpu().double().numpy()
        if not len(inside):
            return cls(0.0, 0.0, 1.0)
        low, high = np.quantile(inside, [TAIL, 1 - TAIL], axis=0)
        half = max(float((high - low).max()) / 2, 1e-3) * (1 + 2 * MARGIN)
        x, y = (low + high) / 2
        return cls(float(x), float(y), half)

    def frame(self, axes: Axes) -> None:
        """Equal scales on both axes, and the square as limits."""
        axes.set_aspect("equal")
        axes.set_xlim(*self.extent[:2])
        axes.set_ylim(*self.extent[2:])
        axes.tick_params(labelsize=7, length=2)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top."""
        return (self.x - self.half, self.x + self.half, self.y - self.half, self.y + self.half)

    def lattice(self, side: int) -> Float[np.ndarray, "side side 2"]:
        """Places on a regular grid over the square, row by row from below."""
        steps = np.linspace(-self.half, self.half, side)
        return np.stack(np.meshgrid(self.x + steps, self.y + steps), -1)


def dots(axes: Axes, points: Float[Tensor, "n 2"], colour: str, label: str | None = None, **look: float) -> None:
    """Points as dots that are the smaller and paler the more there are, as one raster."""
    n = max(len(points), 1)
    size, alpha = float(np.clip(5000 / n, 2, 12)), float(np.clip(30 / n**0.5, 0.35, 0.9))
    x, y = points.detach().cpu().double().numpy().T
    axes.scatter(x, y, look.get("size", size), colour, alpha=look.get("alpha", alpha), lw=0, label=label)


def scatter(samples: Float[Tensor, "n 2"], reference: Float[Tensor, "m 2"] | None, path: Path) -> None:
    """A PNG of samples over held-out data, with limits that hold both.

    Args:
        samples: may hold numbers that are not finite; these are counted in the title.
        reference: data the network has not seen; None for samples alone.
        path: of the PNG.
    """
    save(scatter_figure(samples, reference), path, 130)


def scatter_figure(samples: Float[Tensor, "n 2"], reference: Float[Tensor, "m 2"] | None) -> Figure:
    """The picture of `scatter`: the data alone, the samples alone, and the samples over the data."""
    count = 1 if reference is None else 3
    figure = Figure(figsize=(4.4 * count, 4.6), layout="constrained")
    places = figure.subplots(1, count, squeeze=False)[0]
    window = Window.around(samples)
    lost = int((~samples.isfinite().all(1)).sum())
    title = f"{len(samples):,} samples" + (f" ({lost:,} not finite)" if lost else "")
    if reference is None:
        dots(places[0], samples, SAMPLES)
        places[0].set_title(title, fontsize=11)
    else:
        window = Window.around(reference)
        few = min(len(samples), len(reference))
        dots(places[0], reference, "#1f4e79")
        dots(places[1], samples, SAMPLES)
        dots(places[2], reference[:few], DATA, alpha=0.9)
        dots(places[2], samples[:few], SAMPLES, alpha=0.55)
        places[0].set_title(f"{len(reference):,} held-out points", fontsize=11)
        places[1].set_title(title, fontsize=11)
        places[2].set_title("samples over data", fontsize=11)
    for axes in places:
        window.frame(axes)
    return figure


class Panel(NamedTuple):
    """Points with a title; `notes` are words at places of the plane."""

    title: str
    points: Float[Tensor, "n 2"]
    notes: Sequence[tuple[float, float, str]] = ()


def beside(panels: Sequence[Panel], log_density: Float[np.ndarray, "side side"], window: Window, path: Path) -> None:
    """A PNG of several sets of points, each over the same density, in the same square.

    Args:
        panels: from left to right.
        log_density: of the law that all of them are after, in nats, on `window.lattice(side)`.
        path: of the PNG.
    """
    save(beside_figure(panels, log_density, window), path, 140)


def beside_figure(panels: Sequence[Panel], log_density: Float[np.ndarray, "side side"], window: Window) -> Figure:
    """The picture of `beside`."""
    figure = Figure(figsize=(3.7 * len(panels), 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        over_density(axes, log_density, window, panel.points)
        axes.set_title(panel.title, fontsize=11)
        for x, y, words in panel.notes:
            axes.text(x, y, words, ha="center", va="center", fontsize=11)
    return figure


def over_density(
    axes: Axes,
    log_density: Float[np.ndarray, "side side"],
    window: Window,
    samples: Float[Tensor, "n 2"] | None = None,
) -> None:
    """A heat map of a known log-density in nats, on `window.lattice(side)`, with samples over it."""
    top = float(np.max(log_density))
    axes.imshow(log_density, cmap="Blues", vmin=top - DEPTH, vmax=top + PALE, origin="lower", extent=window.extent)
    if samples is not None:
        dots(axes, samples, SAMPLES)
    window.frame(axes)
