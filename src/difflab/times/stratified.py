"""Training times spread over the global batch."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.uniform import spread


class Stratified:
    """One shared offset and equal gaps, u_i = (u_0 + i/batch) mod 1: each is uniform, together they cover [0, 1).

    The low-discrepancy sampler of Kingma et al. (2021), appendix I.1: the loss has less variance from batch to batch.
    """

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Float[Tensor, " batch"]:
        n = len(uniform)
        return spread((uniform[0] + torch.arange(n, dtype=uniform.dtype) / n) % 1, schedule)
