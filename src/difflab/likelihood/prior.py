"""L_T: the term of the bound that needs no network."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule


def prior_bits(schedule: Schedule, x0: Tensor) -> Float[Tensor, " batch"]:
    """KL(q(x_1 | x_0) || N(0, prior_std^2)) in bits per dimension, [batch] (Ho et al., 2020, Eq. 5)."""
    alpha, sigma, _ = schedule.marginal(torch.ones((), dtype=torch.float64, device=x0.device))
    ratio = (sigma / schedule.prior_std) ** 2
    shift = (alpha / schedule.prior_std) ** 2 * x0.double().square().flatten(1).mean(1)
    return 0.5 * (ratio - 1 - ratio.log() + shift) / math.log(2)
