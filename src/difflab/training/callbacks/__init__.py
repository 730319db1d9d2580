"""What happens around the steps of training."""

from difflab.training.callbacks.agreement import Agreement, Disagreement
from difflab.training.callbacks.budget import Budget
from difflab.training.callbacks.checkpoints import Checkpoints
from difflab.training.callbacks.figures import Figures
from difflab.training.callbacks.looks import Looks
from difflab.training.callbacks.stop import StopOnSignal, Stopped

__all__ = ["Agreement", "Budget", "Checkpoints", "Disagreement", "Figures", "Looks", "StopOnSignal", "Stopped"]
