"""Several bounds over the same chain: what each step costs, and what has been paid up to it."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from difflab.plots.curves import COLOURS
from difflab.plots.save import save

STRETCHES = 50  # of the chain, in geometric progression: single terms of late steps are mostly noise
NAMES = {"forward": r"$\beta$ (forward)", "posterior": r"$\tilde\beta$ (posterior)", "learned": "learned"}
FINEST = 1e-4  # of the largest term: a decoder below it is named, not drawn


class Term(NamedTuple):
    """Bits per dimension of each step and their standard errors, [T + 1]: the prior at 0, the decoder at 1."""

    name: str
    bits: Float[Tensor, " T_1"]
    errors: Float[Tensor, " T_1"]

    @property
    def words(self) -> str:
        """What the bound is called in a picture."""
        return " of run ".join(NAMES.get(part, part) for part in self.name.split("_"))

    @property
    def paid(self) -> Float[np.ndarray, " T"]:
        """Bits per dimension from the prior down to step k, k = 1..T."""
        bits = self.bits.numpy()
        return bits[0] + bits[:0:-1].cumsum()[::-1]


def bounds(terms: Sequence[Term], path: Path) -> None:
    """Each step's bits, both axes logarithmic; their sum from the noisy end; and how the bounds differ in it.

    Args:
        terms: of each bound.
        path: of the PNG.
    """
    several = len({len(term.bits) for term in terms}) == 1 < len(terms)
    figure = Figure(figsize=(15 if several else 10.4, 4.3), layout="constrained")
    panels = figure.subplots(1, 3 if several else 2)
    for term, colour in zip(terms, COLOURS * len(terms), strict=False):
        steps = range(1, len(term.bits))
        draw(panels[0], term, colour)
        panels[1].plot(steps, term.paid, color=colour, lw=1.5, label=f"{term.words}: {term.paid[0]:.3f} bits/dim")
        if several:
            panels[2].plot(steps, term.paid - terms[0].paid, color=colour, lw=1.5, label=term.words)
    panels[0].set(yscale="log", ylabel="bits/dim of one step")
    panels[0].set_title(r"terms $L_{k-1}$, and $L_0$ as a dot, ± one standard error", fontsize=10)
    panels[1].set_ylabel("bits/dim")
    panels[1].set_title(r"paid from $L_T$ down to step $k$", fontsize=10)
    if several:
        panels[2].set_ylabel("bits/dim")
        panels[2].set_title(f"the same, less that of {terms[0].words}", fontsize=10)
    for axes in panels:
        axes.set(xscale="log", xlabel=r"step $k$ (1 is next to the data)")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8)
    save(figure, path)


def draw(axes: Axes, term: Term, colour: object) -> None:
    """Mean bits of the steps k >= 2 of a stretch, with their error, and the decoder where it is large enough."""
    bits, errors = term.bits.numpy(), term.errors.numpy()
    edges = np.unique(np.geomspace(2, len(bits), STRETCHES).round().astype(int))
    stretches = [slice(a, b) for a, b in pairwise(edges.tolist())]
    centres = np.array([np.sqrt(s.start * (s.stop - 1.0)) for s in stretches])
    mean = np.array([bits[s].mean() for s in stretches])
    error = np.array([errors[s].mean() for s in stretches])  # at most: as if all steps of a stretch erred alike
    shown = bits[1] > FINEST * mean.max()
    label = term.words if shown else rf"{term.words}, $L_0$ = {bits[1]:.1g}"
    axes.plot(centres, mean, color=colour, lw=1.5, label=label)
    axes.fill_between(centres, np.maximum(mean - error, mean / 10), mean + error, color=colour, alpha=0.2, lw=0)
    if shown:
        axes.plot(1, bits[1], color=colour, marker="o", ms=5)
