"""Small real runs to ask studies about."""

import sys
from pathlib import Path

from difflab.runs.load import Run, load_run

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, script, train

__all__ = ["run_folder", "script", "trained"]

SMALL_FEATURES = ("features.width=4", "features.dimension=8", "features.steps=20")


def trained(folder: Path, *arguments: str) -> Run:
    """A run of seconds with these arguments, in a folder of its own; features are kept beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    code, text = train(f"cache={folder / 'cache'}", *SMALL_FEATURES, *arguments, folder=folder)
    assert code == 0, text
    return load_run(run_folder(folder))
