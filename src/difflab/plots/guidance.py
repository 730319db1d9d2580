"""Fidelity and diversity against the scale of guidance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from difflab.plots.curves import Curve, draw
from difflab.plots.save import save


def guidance(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], path: Path) -> None:
    """A panel for each figure, the scale of no guidance marked.

    Args:
        curves: by what the axis is called; x is the scale.
        floors: by the same, what real data of the test part has.
        path: of the PNG.
    """
    picture = Figure(figsize=(5.2 * len(curves), 4.2), layout="constrained")
    places = picture.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, lines) in zip(places, curves.items(), strict=True):
        draw(axes, lines, floors.get(name))
        scales = sorted({x for line in lines for x in line.x})
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # 0 has a place, and 1 to 2 as much as 4 to 8
        axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(min(scales) - 0.1, max(scales) * 1.1 + 0.1)
        axes.axvline(1, color="0.6", lw=0.8, ls=":")
        axes.set(xlabel="guidance scale (0 unconditional, 1 no guidance)", ylabel=name)
    picture.suptitle("guidance: fidelity and diversity (± one standard error)", fontsize=11)
    save(picture, path)
