"""difflab: train, evaluate and compare diffusion models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from difflab.runs.load import Run, load_run

__version__ = "0.1.0"
__all__ = ["Run", "load_run"]


def __getattr__(name: str) -> Any:
    """`load_run` and `Run`, imported when they are used: the command line answers without torch."""
    if name in __all__:
        return getattr(import_module("difflab.runs.load"), name)
    raise AttributeError(f"module 'difflab' has no attribute {name!r}")
