"""The signal-to-noise ratio as a weight on the error of x_0, cut off above."""

import math

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class MinSNR(Weighting):
    """min(SNR, gamma) |x_0 - x0_hat|^2 (Hang et al., 2023, Eq. 8): in eps space min(1, gamma/SNR).

    Args:
        gamma: above this SNR every level counts the same in x_0.

    Raises:
        ValueError: unless gamma > 0.
    """

    def __init__(self, gamma: float) -> None:
        if not 0 < gamma < math.inf:
            raise ValueError(f"loss.gamma: {gamma}; allowed are positive numbers")
        self.gamma = gamma

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return (self.gamma * at.log_snr.neg().exp()).clamp(max=1)

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.exp().clamp(max=self.gamma)
