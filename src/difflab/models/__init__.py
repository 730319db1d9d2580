"""Networks: each is called as network(x, c_noise) and says in `c_noise` what it is told about time."""

from difflab.models.mlp import MLP
from difflab.models.time_embedding import StepIndex
from difflab.models.unet import UNet

__all__ = ["MLP", "StepIndex", "UNet"]
