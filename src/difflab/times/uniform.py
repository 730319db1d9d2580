"""Training times drawn evenly."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, place


class Uniform:
    """Independent uniform times (Ho et al., 2020, Algorithm 1)."""

    unbiased = True

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        return Drawn(place(uniform, schedule), torch.ones_like(uniform))
