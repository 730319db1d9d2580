"""L_simple for the mean, the bound for the variance."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.losses.noised import Noised, square_error
from difflab.losses.vlb import Vlb
from difflab.prediction import Denoiser
from difflab.process import Variance, expand
from difflab.schedules import Schedule


class Hybrid:
    """L_simple + scale L_vlb, with x0_hat detached in L_vlb (Nichol & Dhariwal, 2021, Eq. 16).

    L_vlb is the bound in bits per dimension, summed over the steps: it trains the variance and leaves the mean alone.

    Args:
        scale: of L_vlb; small, since its gradient is noisy.
        variance: of the reverse steps, learned.
        levels: how many values a pixel of the data can take.

    Raises:
        ValueError: for a negative scale, and when called, for a schedule without steps and a variance with nothing to
            train.
    """

    def __init__(self, scale: float, variance: Variance, levels: int) -> None:
        if not 0 <= scale < math.inf:
            raise ValueError(f"loss.scale: {scale}; allowed are numbers from 0")
        self.scale, self.bound = scale, Vlb(variance, levels)

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """That of L_simple: 1."""
        return torch.ones_like(t)

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        if schedule.T is None:
            raise ValueError("loss: hybrid trains the variance of steps: allowed are schedules with T")
        if not self.bound.variance.outputs:
            raise ValueError("loss: hybrid trains a learned variance: allowed is variance=learned")
        prediction = denoise(noised.x_t, noised.t)
        simple = square_error(prediction.eps, noised.eps)
        bits = self.bound.of(replace(prediction, x0=prediction.x0.detach()), noised, schedule)
        return simple + self.scale * expand(bits, simple)
