"""A loss that is one weight on the denoising error at each noise level."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.losses.noised import Noised, square_error
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.schedules import Marginal, Schedule


class Weighting(ABC):
    """w(t) |eps - eps_hat|^2 = SNR w(t) |x_0 - x0_hat|^2, whatever the network predicts.

    The error in x_0 is taken where SNR < 1, and that in eps elsewhere, so that no infinity meets a zero where alpha
    or sigma vanishes: a weighting states both weights, each finite on its own side.
    """

    @abstractmethod
    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        """w(t), float64: the weight on the error in eps. It may be infinite where alpha = 0."""

    @abstractmethod
    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        """SNR w(t), cancelled on paper: the weight on the error in x_0, finite where SNR < 1."""

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """w(t) in eps space, float64."""
        return self.of_eps(denoise.schedule.marginal(t), denoise)

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        prediction, at = denoise(noised.x_t, noised.t), schedule.marginal(noised.t)
        eps, x0 = square_error(prediction.eps, noised.eps), square_error(prediction.x0, noised.x0)
        noisy = at.log_snr < 0
        weight = torch.where(noisy, self.of_x0(at, denoise), self.of_eps(at, denoise))
        return expand(weight, eps) * torch.where(noisy, x0, eps)
