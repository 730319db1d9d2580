"""Variance-exploding noise with geometrically spaced levels: NCSN, and the VE SDE in continuous time."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules.schedule import Marginal, Schedule


class Geometric(Schedule):
    """x_t = x_0 + sigma(t) eps with sigma(t) = sigma_min^(1-t) sigma_max^t.

    On a ladder of L levels this is the geometric sequence of Song & Ermon (2019), section 3.3; in continuous time
    the VE SDE of Song et al. (2021), Eq. 30.

    Args:
        sigma_min: noise of the finest level, in units of the data.
        sigma_max: noise of the coarsest level; Technique 1 of Song & Ermon (2020) sets it to the largest distance
            between two training images.
        L: number of levels; None for continuous time.
        auto: whether sigma_max and L are still to be found from the data, as a run does before it builds a schedule.

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max, for fewer than two levels, and with auto.
    """

    t_min = 0.0

    def __init__(self, sigma_min: float, sigma_max: float, L: int | None, auto: bool = False) -> None:
        super().__init__()
        if auto:
            raise ValueError("schedule.auto: true; a schedule is built of numbers: allowed are sigma_max and L")
        check_sigmas(sigma_min, sigma_max)
        if L is not None and L < 2:
            raise ValueError(f"schedule.L: {L}; allowed are whole numbers from 2, and null for continuous time")
        self.L, self.prior_std = L, sigma_max
        self.log_min, self.log_max = math.log(sigma_min), math.log(sigma_max)

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        log_sigma = self.log_min + (self.log_max - self.log_min) * t.double()
        return Marginal(torch.ones_like(log_sigma), log_sigma.exp(), -2 * log_sigma)

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return ((-log_snr.double() / 2 - self.log_min) / (self.log_max - self.log_min)).clamp(0.0, 1.0)


def check_sigmas(sigma_min: float, sigma_max: float) -> None:
    """Whether two noise levels are positive and rise.

    Raises:
        ValueError: where they do not.
    """
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueError(
            f"schedule.sigma_min: {sigma_min}; allowed are positive numbers below schedule.sigma_max = {sigma_max}"
        )
