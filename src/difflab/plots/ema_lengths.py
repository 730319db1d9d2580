"""What the length of the average over the training steps does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from difflab.plots.curves import Curve, draw, words
from difflab.plots.save import save


def ema_lengths(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], path: Path) -> None:
    """Figures against EMA length, a panel for each.

    Args:
        curves: by figure; x is the relative width of the average (Karras et al., 2024, section 3.1).
        floors: by figure, what real test images have.
        path: of the PNG.
    """
    figure = Figure(figsize=(6.0 * len(curves), 4.2), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, lines) in zip(panels, curves.items(), strict=True):
        draw(axes, lines, floors.get(name))
        axes.set(xlabel="EMA length: width of the average / time trained", ylabel=words(name))
    figure.suptitle("figures against the length of the average over the weights (± one standard error)", fontsize=11)
    save(figure, path)
