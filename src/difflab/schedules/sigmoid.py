"""The sigmoid schedule."""

import math

import torch
from torch.nn.functional import logsigmoid

from difflab.schedules.chain import Chain, clip_last_beta


class Sigmoid(Chain):
    """abar(t) = (S(end) - S(start + t (end - start))) / (S(end) - S(start)), S(x) = sigmoid(x / tau), at t = k/T.

    Jabri et al. (2023), Scalable Adaptive Computation. abar vanishes at t = 1, so the last beta alone is clipped.

    Args:
        T: number of steps.
        start, end: the stretch of the sigmoid that is used.
        tau: its temperature; a small one makes the fall of abar in the middle steeper.
        beta_max: the largest beta.

    Raises:
        ValueError: for fewer than two steps, start >= end, a tau that is not positive or so small that the first step
            adds no noise in float64, and a beta_max outside (0, 1) or below other betas.
    """

    def __init__(self, T: int, start: float, end: float, tau: float, beta_max: float) -> None:
        if T < 2:
            raise ValueError(f"schedule.T: {T}; allowed are whole numbers from 2")
        if not -math.inf < start < end < math.inf:
            raise ValueError(f"schedule.start: {start}; allowed are numbers below schedule.end = {end}")
        if not 0 < tau < math.inf:
            raise ValueError(f"schedule.tau: {tau}; allowed are positive numbers")
        x = torch.linspace(start, end, T + 1, dtype=torch.float64) / tau
        # S(b) - S(a) = S(b) S(-a) (1 - e^(a-b)): no difference of nearly equal sigmoids
        log_rest = logsigmoid(-x) + torch.log(-torch.expm1(x - x[-1]))
        log_abar = log_rest - log_rest[0]
        if not (log_abar.diff() < 0).all():
            raise ValueError(f"schedule.tau: {tau}; too small for float64: some steps add no noise")
        super().__init__(clip_last_beta(log_abar[1:], beta_max))
