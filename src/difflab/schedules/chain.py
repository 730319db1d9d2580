"""A variance-preserving chain of T steps, answered in continuous time."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules.schedule import Marginal, Schedule


class Chain(Schedule):
    """alpha^2 + sigma^2 = 1, given by abar_k = alpha(k/T)^2 for k = 1..T (Ho et al., 2020, Eq. 4).

    Between the grid points log alpha is linear in t, so that sigma^2 = -expm1(2 log alpha); at t = 0 alpha is 1.

    Args:
        log_abar: log of abar_1 .. abar_T, float64, [T], falling.
    """

    T: int

    def __init__(self, log_abar: Float[Tensor, " T"]) -> None:
        super().__init__()
        self.T = len(log_abar)
        self.t_min = 1 / self.T
        # A plain attribute, not a buffer: casting the module to half precision must not touch it.
        self.knots = torch.cat([log_abar.new_zeros(1), log_abar.double() / 2])

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        knots = self.knots = self.knots.to(t.device)
        position = t.double() * self.T
        lower = position.floor().clamp(0, self.T - 1).long()
        log_alpha = torch.lerp(knots[lower], knots[lower + 1], position - lower)
        log_sigma = 0.5 * torch.log(-torch.expm1(2 * log_alpha))
        return Marginal(log_alpha.exp(), log_sigma.exp(), 2 * (log_alpha - log_sigma))

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        knots = self.knots = self.knots.to(log_snr.device)
        log_alpha = 0.5 * torch.nn.functional.logsigmoid(log_snr.double())
        upper = torch.searchsorted(-knots, -log_alpha).clamp(1, self.T)
        left, right = knots[upper - 1], knots[upper]
        return ((upper - 1 + (log_alpha - left) / (right - left)) / self.T).clamp(self.t_min, 1.0)
