"""The signal-to-noise ratio as a weight on the error of x_0, but never below one."""

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class TruncatedSNR(Weighting):
    """max(SNR, 1) |x_0 - x0_hat|^2 (Salimans & Ho, 2022, section 4): in eps space max(1, 1/SNR)."""

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.clamp(max=0).neg().exp()

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.clamp(min=0).exp()
