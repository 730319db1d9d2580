"""What codes lose, and how close DDIM's steps follow their ODE, against steps."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, NullLocator, PercentFormatter

from difflab.plots.curves import COLOURS
from difflab.plots.save import save


def code_errors(
    steps: Sequence[int],
    there: Sequence[float],
    same: Sequence[float],
    flow: Sequence[float],
    slope: tuple[float, float],
    level: float,
    path: Path,
) -> None:
    """Three panels: errors of round trips through codes, in numbers and in levels, and the distance to the ODE.

    Args:
        steps: network calls, rising.
        there: RMS per pixel between images and what their codes decode to.
        same: share of the pixels that are on the same level again.
        flow: RMS per pixel between DDIM and the ODE.
        slope: of log flow over log steps, and its standard error.
        level: distance of two levels of the data.
        path: of the PNG.
    """
    figure = Figure(figsize=(13.2, 3.9), layout="constrained")
    error, share, ode = figure.subplots(1, 3)
    look = {"color": COLOURS[0], "marker": "o", "ms": 4.5, "lw": 1.5}
    error.plot(steps, there, **look)
    error.axhline(level / 2, color="0.45", ls="--", lw=1, label="half a level of the data")
    error.set_title("test image, its code, image again", fontsize=10)
    share.plot(steps, same, **look)
    share.axhline(1, color="0.45", ls="--", lw=1)
    share.set_title("the same: pixels on their level again", fontsize=10)
    share.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    share.set_ylabel("share of the pixels")
    ode.plot(steps, flow, label=f"DDIM, slope {slope[0]:.2f} ± {slope[1]:.2f}", **look)
    middle = len(steps) // 2
    ode.plot(steps, [flow[middle] * steps[middle] / n for n in steps], color="0.45", ls="--", lw=1, label="1 / steps")
    ode.set_title("DDIM and the VE probability-flow ODE, same codes", fontsize=10)
    for axes in (error, share, ode):
        along(axes, steps)
    for axes in (error, ode):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("RMS difference per pixel, data in [-1, 1]")
        axes.legend(fontsize=8)
    save(figure, path)


def along(axes: Axes, steps: Sequence[int]) -> None:
    """A logarithmic axis of steps with a tick at each."""
    axes.set(xscale="log", xlabel="steps")
    axes.set_xticks(steps, [f"{n:,}" for n in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
