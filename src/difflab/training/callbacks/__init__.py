"""What happens around the steps of training."""

from difflab.training.callbacks.checkpoints import Checkpoints
from difflab.training.callbacks.figures import Figures
from difflab.training.callbacks.looks import Looks
from difflab.training.callbacks.stop import StopOnSignal, Stopped

__all__ = ["Checkpoints", "Figures", "Looks", "StopOnSignal", "Stopped"]
