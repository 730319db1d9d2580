"""Errors of samplers against network calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from difflab.plots.save import save

COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
FEWEST, LARGEST = 4.5, 6.0  # calls and errors that are shown
APART = 0.042  # of the height, between labels


class Line(NamedTuple):
    """Errors at rising numbers of network calls; `reference` lines are drawn thin, for comparison."""

    name: str
    calls: Sequence[float]
    errors: Sequence[float]
    reference: bool = False

    def finite(self) -> "Line":
        """Without errors that a logarithm cannot show."""
        shown = [(c, e) for c, e in zip(self.calls, self.errors, strict=True) if 0 < e < float("inf")]
        return self._replace(calls=[c for c, _ in shown], errors=[e for _, e in shown])


def sampler_errors(
    solvers: Sequence[Line], distances: Sequence[Line], floor: Sequence[float], points: int, path: Path
) -> None:
    """Two panels: solvers of the probability-flow ODE by their own error, other samplers by the law of their samples.

    Args:
        solvers: RMS errors.
        distances: Wasserstein distances.
        floor: those of sets of exact samples.
        points: samples in a set.
        path: of the PNG.
    """
    solvers, distances = ([line.finite() for line in lines] for lines in (solvers, distances))
    figure = Figure(figsize=(13.5, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    draw(left, solvers)
    left.set_title("solvers of the probability-flow ODE: error of the sample", fontsize=11)
    left.set_ylabel("RMS distance to the exact solution from the same starts")
    if solvers:
        guides(left)
        name_ends(left, solvers)
    draw(right, distances)
    low, high = sorted(floor)[len(floor) // 20], sorted(floor)[-1 - len(floor) // 20]
    right.axhspan(low, high, color="0.85", label="exact samples, 90% of sets", zorder=0)
    right.set_title(f"stochastic samplers: error of the law of {points:,} samples", fontsize=11)
    right.set_ylabel("Wasserstein distance to the mixture")
    right.legend(fontsize=9, framealpha=1)
    save(figure, path, 110)


def draw(axes: Axes, lines: Sequence[Line]) -> None:
    """Each line in a colour of its own; one that lies on another is dashed, so that both are seen."""
    drawn = []
    for line, colour in zip(lines, COLOURS * len(lines), strict=False):
        place = [(call, f"{error:.5g}") for call, error in zip(line.calls, line.errors, strict=True)]
        dashes = (0, (4, 4)) if place in drawn else "-"
        if line.reference:
            axes.plot(line.calls, line.errors, label=line.name, color="0.45", lw=1, ls=":")
        else:
            axes.plot(line.calls, line.errors, label=line.name, color=colour, lw=1.6, ls=dashes, marker=".")
        drawn.append(place)
    axes.set(xscale="log", yscale="log", xlabel="network calls for a sample")
    axes.set_ylim(top=min(axes.get_ylim()[1], LARGEST))
    axes.set_xlim(left=max(axes.get_xlim()[0], FEWEST))
    ticks = [5, 10, 20, 50, 100, 200, 500]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(color="0.92")


def guides(axes: Axes) -> None:
    """Slopes of orders 1 to 4, fanned out where no solver is: few calls and small errors."""
    bottom, top = axes.get_ylim()
    start, end = 6.0, 18.0
    height = bottom * (top / bottom) ** 0.42
    for order in (1, 2, 3, 4):
        last = height * (start / end) ** order
        axes.plot([start, end], [height, last], color="0.6", lw=0.8)
        axes.annotate(
            f"order {order}", (end, last), xytext=(3, -3), textcoords="offset points", color="0.4", fontsize=8
        )


def name_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """The name of each line to the right of its end, moved apart where they would touch."""
    lines = [line for line in lines if line.calls]
    first, last = axes.get_xlim()
    axes.set_xlim(first, last * (last / first) ** 0.42)
    to_share = axes.transAxes.inverted()
    ends = [to_share.transform(axes.transData.transform((line.calls[-1], line.errors[-1]))) for line in lines]
    above = 2.0
    for i in sorted(range(len(lines)), key=lambda i: -ends[i][1]):
        above = min(ends[i][1], above - APART)
        axes.annotate(
            lines[i].name,
            tuple(ends[i]),
            (ends[i][0] + 0.025, above),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=COLOURS[i % len(COLOURS)],
            arrowprops={"arrowstyle": "-", "color": COLOURS[i % len(COLOURS)], "lw": 0.5},
        )
