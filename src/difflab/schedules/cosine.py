"""The cosine schedule of Improved DDPM."""

import math

import torch

from difflab.schedules.chain import Chain, clip_last_beta


class Cosine(Chain):
    """abar(t) = f(t)/f(0) with f(t) = cos^2(pi/2 (t + offset)/(1 + offset)) (Nichol & Dhariwal, 2021, Eq. 17).

    abar vanishes at t = 1, so the last beta alone is clipped to beta_max.

    Args:
        T: number of steps.
        offset: keeps the first betas from being too small; the paper's s = 0.008.
        beta_max: the largest beta.

    Raises:
        ValueError: for fewer than two steps, a negative offset, and a beta_max outside (0, 1) or below other betas.
    """

    def __init__(self, T: int, offset: float, beta_max: float) -> None:
        if T < 2:
            raise ValueError(f"schedule.T: {T}; allowed are whole numbers from 2")
        if not 0 <= offset < math.inf:
            raise ValueError(f"schedule.offset: {offset}; allowed are numbers from 0")
        t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
        log_f = 2 * torch.cos(math.pi / 2 * (t + offset) / (1 + offset)).log()
        super().__init__(clip_last_beta((log_f - log_f[0])[1:], beta_max))
