"""A variance-preserving chain of T steps, answered in continuous time."""

import math

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
        knots = self._knots_on(t.device)
        position = t.double() * self.T
        lower = position.floor().clamp(0, self.T - 1).long()
        log_alpha = torch.lerp(knots[lower], knots[lower + 1], position - lower)
        log_sigma = 0.5 * torch.log(-torch.expm1(2 * log_alpha))
        return Marginal(log_alpha.exp(), log_sigma.exp(), 2 * (log_alpha - log_sigma))

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        knots = self._knots_on(log_snr.device)
        log_alpha = 0.5 * torch.nn.functional.logsigmoid(log_snr.double())
        upper = torch.searchsorted(-knots, -log_alpha).clamp(1, self.T)
        left, right = knots[upper - 1], knots[upper]
        return ((upper - 1 + (log_alpha - left) / (right - left)) / self.T).clamp(self.t_min, 1.0)

    def _knots_on(self, device: torch.device) -> Tensor:
        if self.knots.device != device:
            with torch.inference_mode(False):  # a copy made in inference mode could never be differentiated through
                self.knots = self.knots.to(device)
        return self.knots


def check_scaled_betas(T: int, beta_first: float, beta_last: float) -> None:
    """Whether the betas of 1,000 steps, scaled by 1000/T, are variances that a step may add.

    Raises:
        ValueError: unless the betas lie in (0, 1), before and after.
    """
    for field, beta in (("beta_first", beta_first), ("beta_last", beta_last)):
        if not 0 < beta < 1:
            raise ValueError(f"schedule.{field}: {beta}; allowed are numbers between 0 and 1")
    least = 1000 * max(beta_first, beta_last)
    if least >= T:
        raise ValueError(f"schedule.T: {T}; betas are scaled by 1000/T and must stay below 1: use T > {least:g}")


def clip_last_beta(log_abar: Float[Tensor, " T"], beta_max: float) -> Float[Tensor, " T"]:
    """The same chain with beta_T at most beta_max, for an abar that vanishes at t = 1.

    Raises:
        ValueError: for a beta_max outside (0, 1), and where another beta is above it.
    """
    if not 0 < beta_max < 1:
        raise ValueError(f"schedule.beta_max: {beta_max}; allowed are numbers between 0 and 1")
    steps = torch.diff(log_abar, prepend=log_abar.new_zeros(1))
    steepest = float(steps[:-1].min())
    if steepest < math.log1p(-beta_max):
        largest = -math.expm1(steepest)
        raise ValueError(f"schedule.beta_max: {beta_max}; only the last beta is clipped: use at least {largest:.6g}")
    steps[-1].clamp_(min=math.log1p(-beta_max))
    return torch.cat([log_abar[:-1], log_abar[-2:-1] + steps[-1:]])
