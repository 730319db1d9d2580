"""Training losses as they were, of runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from difflab.plots.curves import COLOURS
from difflab.plots.save import save

DECADES = 50.0  # a range of losses from which the axis is logarithmic on both sides of zero
SMOOTH = 50  # parts of the training that the darker line is a mean of


class Losses(NamedTuple):
    """The losses of one run at its steps.

    Attributes:
        bound: what they cannot stay below in the mean; None where nothing keeps them.
    """

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    bound: float | None


def losses(runs: Sequence[Losses], path: Path) -> None:
    """A panel for each run: every loss thin, means over stretches of the training on top.

    Args:
        runs: in the order of the panels.
        path: of the PNG.
    """
    figure = Figure(figsize=(5.4 * len(runs), 4.0), layout="constrained")
    for axes, run, colour in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, COLOURS, strict=False):
        steps, values = np.array(run.steps), np.array(run.values)
        axes.plot(steps, values, color=colour, lw=0.5, alpha=0.55, label="loss of a batch")
        parts = np.array_split(np.arange(len(values)), min(SMOOTH, len(values)))
        means = [values[part].mean() for part in parts]
        axes.plot([steps[part].mean() for part in parts], means, color="black", lw=1.3, label="mean of 2% of the steps")
        if run.bound is not None:
            label = f"no score does better in the mean: {run.bound:.4g}"
            axes.axhline(run.bound, color="0.35", ls="--", lw=1.1, label=label)
        if np.ptp(values) > DECADES * max(1.0, np.median(np.abs(values[: len(values) // 4]))):
            axes.set_yscale("symlog", linthresh=1.0)
        axes.set_title(run.name, fontsize=11)
        axes.set(xlabel="optimizer step", ylabel="sliced score matching loss, per dimension")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8)
    save(figure, path)
