"""Training times with more of them in the middle of the interval."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, check_normal, nearest, normal


class LogitNormal:
    """logit(t) ~ N(mean, std^2) (Esser et al., 2024, section 3.1), put on the nearest step of a chain or ladder.

    Times before t_min become t_min. The density is part of the objective: the loss is not divided by it.

    Args:
        mean: of log(t/(1-t)); positive for more noise.
        std: of the same; small ones leave less to both ends.

    Raises:
        ValueError: unless the mean is finite and the standard deviation positive.
    """

    unbiased = False

    def __init__(self, mean: float, std: float) -> None:
        check_normal(mean, std)
        self.mean, self.std = mean, std

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        t = torch.sigmoid(self.mean + self.std * normal(uniform))
        return Drawn(nearest(t, schedule), torch.ones_like(uniform))
