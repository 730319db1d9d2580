"""The variance-exploding noise of EDM."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules.geometric import check_sigmas
from difflab.schedules.schedule import Marginal, Schedule


class Karras(Schedule):
    """x_t = x_0 + sigma(t) eps with sigma^(1/rho) linear in t: equal steps of t are Eq. 5 of Karras et al. (2022).

    Args:
        sigma_min, sigma_max: noise at t = 0 and t = 1, in units of the data.
        rho: larger values put more of the times at small noise; the paper's 7.

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max and rho > 0.
    """

    t_min = 0.0

    def __init__(self, sigma_min: float, sigma_max: float, rho: float) -> None:
        super().__init__()
        check_sigmas(sigma_min, sigma_max)
        if not 0 < rho < math.inf:
            raise ValueError(f"schedule.rho: {rho}; allowed are positive numbers")
        self.rho, self.prior_std = rho, sigma_max
        self.root_min, self.root_max = sigma_min ** (1 / rho), sigma_max ** (1 / rho)

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        log_sigma = self.rho * torch.log(self.root_min + (self.root_max - self.root_min) * t.double())
        return Marginal(torch.ones_like(log_sigma), log_sigma.exp(), -2 * log_sigma)

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        root = torch.exp(-log_snr.double() / (2 * self.rho))
        return ((root - self.root_min) / (self.root_max - self.root_min)).clamp(0.0, 1.0)
