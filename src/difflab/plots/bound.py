"""Where the bits go: the terms of the bound over the chain."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from difflab.plots.save import save


def bound_terms(terms: list[tuple[int, int, float]], path: Path) -> None:
    """Bits per dimension of stretches of the chain, and their running sum from the noisy end.

    Args:
        terms: (first step, last step, bits per dimension), ascending.
        path: of the PNG.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    centres = [(a * b) ** 0.5 for a, b, _ in terms]
    bits = [value for _, _, value in terms]
    axes.stairs(bits, [terms[0][0], *(b + 1 for _, b, _ in terms)], fill=True, alpha=0.35, label="bits in this stretch")
    remaining = [sum(bits[i:]) for i in range(len(bits))]
    axes.plot(centres, remaining, marker=".", label="sum from here to the last step")
    axes.set(xscale="log", xlabel="step k of the chain (1 is next to the data)", ylabel="bits/dim")
    last = float(terms[-1][1])
    top = axes.secondary_xaxis("top", functions=(lambda k: np.divide(k, last), lambda t: np.multiply(t, last)))
    top.set_xlabel("time t")
    axes.set_title(f"terms of the bound: {sum(bits):.3f} bits/dim in all, without the prior")
    axes.legend()
    save(figure, path)
