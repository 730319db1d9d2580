"""The variance-preserving SDE in continuous time."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from difflab.schedules.schedule import Marginal, Schedule


class VP(Schedule):
    """alpha^2 + sigma^2 = 1 with log alpha = -t^2 (beta_max - beta_min)/4 - t beta_min/2.

    The limit of the linear chain for T -> infinity (Song et al., 2021, Eq. 33).

    Args:
        beta_min, beta_max: the rate beta(t) of the SDE at t = 0 and t = 1; T times the betas of a chain.
        t_min: the earliest noisy time.

    Raises:
        ValueError: unless 0 < beta_min <= beta_max and 0 < t_min < 1.
    """

    def __init__(self, beta_min: float, beta_max: float, t_min: float) -> None:
        super().__init__()
        if not 0 < beta_min <= beta_max < float("inf"):
            raise ValueError(f"schedule.beta_min: {beta_min}; allowed are positive numbers up to beta_max = {beta_max}")
        if not 0 < t_min < 1:
            raise ValueError(f"schedule.t_min: {t_min}; allowed are numbers between 0 and 1")
        self.square, self.linear = (beta_max - beta_min) / 4, beta_min / 2
        self.t_min = t_min

    def log_alpha(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        t = t.double()
        return -t * (self.square * t + self.linear)

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        log_alpha = self.log_alpha(t)
        log_sigma = 0.5 * torch.log(-torch.expm1(2 * log_alpha))
        return Marginal(log_alpha.exp(), log_sigma.exp(), 2 * (log_alpha - log_sigma))

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.time_of(0.5 * logsigmoid(log_snr.double()))

    def time_of(self, log_alpha: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The positive root of square t^2 + linear t = -log alpha, without a difference, in [t_min, 1]."""
        m = -log_alpha.clamp(min=-(self.square + self.linear))
        return (2 * m / (self.linear + torch.sqrt(self.linear**2 + 4 * self.square * m))).clamp(self.t_min, 1.0)
