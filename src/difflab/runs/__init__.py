"""From a command line to a run: composing, refusing, run folders, training, loading."""

from difflab.runs.frame import run

__all__ = ["run"]
