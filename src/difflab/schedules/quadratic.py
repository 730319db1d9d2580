"""The quadratic ("scaled linear") schedule."""

import torch

from difflab.schedules.chain import Chain, check_scaled_betas


class Quadratic(Chain):
    """sqrt(beta_k) from sqrt(beta_first) to sqrt(beta_last) in equal steps, for any T.

    The "quad" betas of Song et al.'s DDIM (2021), and those of Stable Diffusion (Rombach et al., 2022; 8.5e-4 to
    0.012). Scaled by 1000/T as in `Linear`.

    Args:
        T: number of steps.
        beta_first, beta_last: variance added by the first and the last of 1,000 steps.

    Raises:
        ValueError: unless the scaled betas lie in (0, 1); with the default values T must be above 20.
    """

    def __init__(self, T: int, beta_first: float, beta_last: float) -> None:
        check_scaled_betas(T, beta_first, beta_last)
        root = torch.linspace(beta_first**0.5, beta_last**0.5, T, dtype=torch.float64)
        super().__init__(torch.log1p(-(1000 / T) * root**2).cumsum(0))
