"""Training times at which log_snr is uniform."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, nearest


class LogSNR:
    """log_snr uniform between its values at t_min and 1, put on the nearest step of a chain or ladder.

    The density over log_snr is part of the objective, the same for every schedule with these ends (Kingma & Gao, 2023,
    section 3): the loss is not divided by it.

    Args:
        log_snr_min, log_snr_max: where the range is cut, for schedules with an end at infinity.

    Raises:
        ValueError: unless log_snr_min < log_snr_max, both finite.
    """

    unbiased = False

    def __init__(self, log_snr_min: float, log_snr_max: float) -> None:
        if not -math.inf < log_snr_min < log_snr_max < math.inf:
            raise ValueError(
                f"times.log_snr_min: {log_snr_min}; allowed are numbers below times.log_snr_max = {log_snr_max}"
            )
        self.log_snr_min, self.log_snr_max = log_snr_min, log_snr_max

    @torch.no_grad()
    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        ends = schedule.marginal(torch.tensor([schedule.t_min, 1], dtype=torch.float64)).log_snr
        first, last = ends.clamp(self.log_snr_min, self.log_snr_max)
        return Drawn(nearest(schedule.time(torch.lerp(first, last, uniform)), schedule), torch.ones_like(uniform))
