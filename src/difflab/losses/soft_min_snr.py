"""Min-SNR without its corner."""

import math

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class SoftMinSNR(Weighting):
    """SNR gamma/(SNR + gamma) |x_0 - x0_hat|^2 (Crowson et al., 2024, section 4.4): in eps space gamma/(SNR + gamma).

    Args:
        gamma: the SNR around which the weight on x_0 levels off.

    Raises:
        ValueError: unless gamma > 0.
    """

    def __init__(self, gamma: float) -> None:
        if not 0 < gamma < math.inf:
            raise ValueError(f"loss.gamma: {gamma}; allowed are positive numbers")
        self.gamma = gamma

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return self.gamma / (at.log_snr.exp() + self.gamma)

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.exp() * self.of_eps(at, denoise)
