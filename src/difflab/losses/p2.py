"""Perception-prioritised weights."""

import math

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class P2(Weighting):
    """|eps - eps_hat|^2 / (k + SNR)^gamma: less weight on noise too small to see (Choi et al., 2022, Eq. 8).

    Args:
        k: positive, so that the weight stays finite at the largest noise.
        gamma: how much less.

    Raises:
        ValueError: unless both are positive.
    """

    def __init__(self, k: float, gamma: float) -> None:
        for field, value in (("k", k), ("gamma", gamma)):
            if not 0 < value < math.inf:
                raise ValueError(f"loss.{field}: {value}; allowed are positive numbers")
        self.k, self.gamma = k, gamma

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return (self.k + at.log_snr.exp()) ** -self.gamma

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.exp() * self.of_eps(at, denoise)
