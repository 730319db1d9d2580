"""The variational bound on -log p(x_0) in continuous time, term by term, in bits per dimension."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.likelihood.decoder import Decoder, Discretised
from difflab.likelihood.prior import prior_bits
from difflab.process import expand
from difflab.schedules import Schedule


class ContinuousBound:
    """-log p(x_0) <= prior + reconstruction + E_t density(t), t uniform on [t_min, 1] (Kingma et al., 2021, Eq. 11-18).

    The limit of the chains on [t_min, 1] with posterior variance. The first step back from t_min is a decoder that
    needs no network, since x_{t_min} is nearly x_0.

    Args:
        schedule: of continuous time; a ladder counts as one.
        levels: how many values a pixel of the data can take.
        clip: whether x0_hat is clipped to [-1, 1] first.
        decoder: of the reconstruction; None for the discretised one.
    """

    def __init__(self, schedule: Schedule, levels: int, clip: bool, decoder: Decoder | None = None) -> None:
        self.schedule, self.levels, self.clip = schedule, levels, clip
        self.decoder = decoder or Discretised()

    def prior(self, x0: Tensor) -> Float[Tensor, " batch"]:
        """KL(q(x_1 | x_0) || prior): needs no network."""
        return prior_bits(self.schedule, x0)

    def reconstruction(self, x0: Tensor, eps: Tensor) -> Float[Tensor, " batch"]:
        """-log p(x_0 | x_{t_min}): the decoder of std sigma/alpha around x_{t_min}/alpha; needs no network.

        Args:
            x0: on the levels of the data.
            eps: the noise in x_{t_min}.
        """
        alpha, sigma, _ = self.schedule.marginal(
            torch.tensor(self.schedule.t_min, dtype=torch.float64, device=x0.device)
        )
        std = sigma / alpha
        return self.decoder.nats(x0, x0.double() + std * eps.double(), std, self.levels) / math.log(2)

    def density(self, x0: Tensor, x0_hat: Tensor, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """(1 - t_min) (-1/2 dSNR/dt) |x_0 - x0_hat|^2, with x0_hat the prediction from x_t.

        The same as (1 - t_min) (-1/2 d log_snr/dt) |eps - eps_hat|^2, and finite where alpha = 0.
        """
        if self.clip:
            x0_hat = x0_hat.clamp(-1, 1)
        error = (x0.double() - x0_hat.double()).square().flatten(1).mean(1)
        rate = -0.5 * (1 - self.schedule.t_min) * self.schedule.snr_slope(t)
        return expand(rate, error) * error / math.log(2)
