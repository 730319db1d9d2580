"""L_simple of DDPM."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.losses.noised import Noised, square_error
from difflab.prediction import Denoiser
from difflab.schedules import Schedule


class Simple:
    """|eps - eps_hat|^2, every noise level alike, whatever the network predicts (Ho et al., 2020, Eq. 14)."""

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return torch.ones_like(t)

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        return square_error(denoise(noised.x_t, noised.t).eps, noised.eps)
