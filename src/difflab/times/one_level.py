"""One training time for all."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, nearest


class OneLevel:
    """The time at which sigma/alpha is given, for every example, put on the nearest step of a chain or ladder.

    Score matching at one noise level (Vincent, 2011). It is part of the objective: the loss is not divided by it.

    Args:
        sigma: sigma/alpha, the noise in units of x_0.
        schedule: that has this level.

    Raises:
        ValueError: for noise outside the range of the schedule.
    """

    unbiased = False

    def __init__(self, sigma: float, schedule: Schedule) -> None:
        with torch.no_grad():
            ends = schedule.marginal(torch.tensor([schedule.t_min, 1], dtype=torch.float64)).log_snr
        low, high = torch.exp(-ends / 2).tolist()
        if not (1 - 1e-6) * low <= sigma <= (1 + 1e-6) * high or math.isinf(sigma):
            raise ValueError(
                f"times.sigma: {sigma}; allowed are the levels of noise, sigma/alpha, of this schedule: "
                f"{low:.4g} to {high:.4g}"
            )
        self.sigma = sigma

    @torch.no_grad()
    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        t = schedule.time(torch.full_like(uniform, -2 * math.log(self.sigma)))
        return Drawn(nearest(t, schedule), torch.ones_like(uniform))
