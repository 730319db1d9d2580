"""Quality of samples against what they cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from difflab.plots.curves import Curve, draw, words
from difflab.plots.save import save


def quality(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], path: Path) -> None:
    """Distances against network calls, a panel for each.

    Args:
        curves: by figure; x counts network calls for a sample.
        floors: by figure, what real test images have.
        path: of the PNG.
    """
    figure = Figure(figsize=(6.4 * len(curves), 4.4), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, lines) in zip(panels, curves.items(), strict=True):
        draw(axes, lines, floors.get(name))
        axes.set(xlabel="network calls for a sample", ylabel=words(name))
    figure.suptitle("quality of samples against network calls (± one standard error)", fontsize=11)
    save(figure, path)
