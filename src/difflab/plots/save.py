"""Figures as files."""

from pathlib import Path

from matplotlib.figure import Figure

from difflab.files import unfinished


def save(figure: Figure, path: Path, dpi: int = 120) -> None:
    """A PNG that is whole or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(path) as new:
        figure.savefig(new, dpi=dpi, format="png")
