"""The cosine schedule of Improved DDPM."""

import math

import torch

from difflab.schedules.chain import Chain


class Cosine(Chain):
    """abar(t) = f(t)/f(0) with f(t) = cos^2(pi/2 (t + offset)/(1 + offset)) (Nichol & Dhariwal, 2021, Eq. 17).

    abar vanishes at t = 1, so the last beta alone is clipped to beta_max.

    Args:
        T: number of steps.
        offset: keeps the first betas from being too small; the paper's s = 0.008.
        beta_max: the largest beta.
    """

    def __init__(self, T: int, offset: float, beta_max: float) -> None:
        if T < 2:
            raise ValueError(f"schedule.T: {T}; the cosine schedule needs at least 2 steps")
        if not 0 < beta_max < 1:
            raise ValueError(f"schedule.beta_max: {beta_max} must lie in (0, 1)")
        if offset < 0:
            raise ValueError(f"schedule.offset: {offset} must not be negative")
        t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
        log_f = 2 * torch.cos(math.pi / 2 * (t + offset) / (1 + offset)).log()
        log_abar = (log_f - log_f[0])[1:]
        log_abar[-1] = log_abar[-2] + max(math.log1p(-beta_max), float(log_abar[-1] - log_abar[-2]))
        super().__init__(log_abar)
