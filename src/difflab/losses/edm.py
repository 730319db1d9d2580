"""The loss of EDM."""

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class EDM(Weighting):
    """(s^2 + sd^2)/(s sd)^2 |x_0 - x0_hat|^2 with s = sigma/alpha (Karras et al., 2022, Table 1).

    With prediction=edm every noise level starts with the same loss. In eps space (s^2 + sd^2)/sd^2.

    Args:
        sigma_data: standard deviation sd of the data.
    """

    def __init__(self, sigma_data: float) -> None:
        if not sigma_data > 0:
            raise ValueError(f"loss.sigma_data: {sigma_data}; allowed are positive numbers")
        self.sigma_data = sigma_data

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return 1 + at.log_snr.neg().exp() / self.sigma_data**2

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return at.log_snr.exp() + 1 / self.sigma_data**2
