"""Quality of samples against what they cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from difflab.plots.curves import Curve, panels


def quality(curves: Mapping[str, Sequence[Curve]], floors: Mapping[str, float], path: Path) -> None:
    """Distances against network calls, a panel for each.

    Args:
        curves: by figure; x counts network calls for a sample.
        floors: by figure, what real data of the test part has.
        path: of the PNG.
    """
    panels(curves, floors, "network calls for a sample", "quality of samples against network calls", path)
