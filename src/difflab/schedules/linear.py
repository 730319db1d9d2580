"""The linear schedule of DDPM."""

import torch

from difflab.schedules.chain import Chain, check_scaled_betas


class Linear(Chain):
    """beta_k from beta_first to beta_last in equal steps (Ho et al., 2020, section 4), for any T.

    The betas are those of 1,000 steps, scaled by 1000/T so that the whole noise stays the same.

    Args:
        T: number of steps.
        beta_first, beta_last: variance added by the first and the last of 1,000 steps.

    Raises:
        ValueError: unless the scaled betas lie in (0, 1); with the published values T must be above 20.
    """

    def __init__(self, T: int, beta_first: float, beta_last: float) -> None:
        check_scaled_betas(T, beta_first, beta_last)
        scale = 1000 / T
        beta = torch.linspace(beta_first * scale, beta_last * scale, T, dtype=torch.float64)
        super().__init__(torch.log1p(-beta).cumsum(0))
