"""What the length of the average over the training steps does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from difflab.plots.curves import Curve, panels


def ema_lengths(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], path: Path) -> None:
    """Figures against EMA length, a panel for each.

    Args:
        curves: by figure; x is the relative width of the average (Karras et al., 2024, section 3.1).
        floors: by figure, what real data of the test part has.
        path: of the PNG.
    """
    x = "EMA length: width of the average / time trained"
    panels(curves, floors, x, "figures against the length of the average over the weights", path)
