"""The plain error of x_0, weighted by the signal-to-noise ratio."""

import torch
from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class SNR(Weighting):
    """SNR |x_0 - x0_hat|^2 (Salimans & Ho, 2022, section 4): in eps space 1, the numbers of L_simple.

    Taken from x0_hat where SNR < 1, it is exact for a network of x_0 and stays finite where alpha = 0.
    """

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return torch.ones_like(at.alpha)

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.exp()
