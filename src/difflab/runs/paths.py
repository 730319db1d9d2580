"""Where things lie."""

import os
from pathlib import Path

import difflab

_PACKAGE = Path(difflab.__file__).resolve().parent
_REPOSITORY = _PACKAGE.parents[1] / "configs"
CONFIGS = _REPOSITORY if _REPOSITORY.is_dir() else _PACKAGE / "configs"


def cache_folder(choice: str | None) -> Path:
    """The folder of cached feature extractors: the config's choice, or the user's cache folder."""
    if choice is not None:
        return Path(choice)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "difflab"
