"""The linear schedule of DDPM."""

import torch

from difflab.schedules.chain import Chain


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
        for field, beta in (("beta_first", beta_first), ("beta_last", beta_last)):
            if not beta > 0:
                raise ValueError(f"schedule.{field}: {beta}; allowed are positive numbers")
        least = 1000 * max(beta_first, beta_last)
        if least >= T:
            raise ValueError(f"schedule.T: {T}; betas are scaled by 1000/T and must stay below 1: use T > {least:g}")
        scale = 1000 / T
        beta = torch.linspace(beta_first * scale, beta_last * scale, T, dtype=torch.float64)
        super().__init__(torch.log1p(-beta).cumsum(0))
