"""Training times at which the noise is log-normal."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, check_normal, nearest, normal


class LogNormal:
    """log(sigma/alpha) ~ N(mean, std^2) (Karras et al., 2022, Table 1), put on the nearest step of a chain or ladder.

    Noise beyond the ends of the schedule goes to the ends. The density is part of the objective: the loss is not
    divided by it.

    Args:
        mean, std: of log(sigma/alpha), in natural units; P_mean and P_std of the paper, for data of standard
            deviation 0.5.

    Raises:
        ValueError: unless the mean is finite and the standard deviation positive.
    """

    unbiased = False

    def __init__(self, mean: float, std: float) -> None:
        check_normal(mean, std)
        self.mean, self.std = mean, std

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        log_ratio = self.mean + self.std * normal(uniform)
        return Drawn(nearest(schedule.time(-2 * log_ratio), schedule), torch.ones_like(uniform))
