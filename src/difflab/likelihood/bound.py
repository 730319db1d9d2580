"""The variational bound on -log p(x_0) of a T-step chain, term by term, in bits per dimension."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.likelihood.decoder import discretised_nats
from difflab.process import Variance, transition
from difflab.schedules import Schedule


class Bound:
    """-log p(x_0) <= L_T + sum_{k=2..T} L_{k-1} + L_0 (Ho et al., 2020, Eq. 5), each term from one x0_hat.

    Args:
        schedule: a chain of T steps.
        variance: of the reverse steps k >= 2.
        clip: whether x0_hat is clipped to [-1, 1] first.
        levels: how many values a pixel of the data can take.

    Raises:
        ValueError: for a schedule without steps.
    """

    def __init__(self, schedule: Schedule, variance: Variance, clip: bool, levels: int) -> None:
        if schedule.T is None:
            raise ValueError("likelihood: the bound by steps needs a schedule with T steps")
        self.schedule, self.variance, self.clip, self.levels = schedule, variance, clip, levels
        self.T = schedule.T
        first, second = torch.tensor([1, 2], dtype=torch.float64) / self.T
        self.decoder_std = transition(schedule, first, second).posterior_var.sqrt()

    def prior(self, x0: Tensor) -> Float[Tensor, " batch"]:
        """L_T = KL(q(x_T | x_0) || prior): needs no network."""
        alpha, sigma, _ = self.schedule.marginal(torch.ones((), dtype=torch.float64, device=x0.device))
        ratio = (sigma / self.schedule.prior_std) ** 2
        shift = (alpha / self.schedule.prior_std) ** 2 * x0.double().square().flatten(1).mean(1)
        return 0.5 * (ratio - 1 - ratio.log() + shift) / math.log(2)

    def terms(self, x0: Tensor, x0_hat: Tensor, k: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Each image's term of its own step k: the KL of the reverse step for k >= 2, the decoder for k = 1.

        With x0_hat the prediction from x_k; the one place of both conventions, since each image needs one of them.
        """
        if self.clip:
            x0_hat = x0_hat.clamp(-1, 1)
        result = torch.empty(len(x0), dtype=torch.float64, device=x0.device)
        last = k == 1
        if last.any():
            std = self.decoder_std.to(x0.device)
            result[last] = discretised_nats(x0[last], x0_hat[last], std, self.levels) / math.log(2)
        rest = ~last
        if rest.any():
            result[rest] = self.kl(x0[rest], x0_hat[rest], k[rest])
        return result

    def kl(self, x0: Tensor, x0_hat: Tensor, k: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) for k >= 2 (Ho et al., 2020, Eq. 8)."""
        step = transition(self.schedule, (k.double() - 1) / self.T, k.double() / self.T)
        var = self.variance(step)
        ratio = step.posterior_var / var
        error = (x0.double() - x0_hat.double()).square().flatten(1).mean(1)
        return 0.5 * (ratio - 1 - ratio.log() + step.of_x0**2 / var * error) / math.log(2)
