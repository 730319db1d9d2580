"""The bound of continuous time as a sum over cells, for whoever draws terms and adds them up."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.likelihood.case import Case
from difflab.likelihood.continuous import ContinuousBound
from difflab.likelihood.decoder import Decoder
from difflab.schedules import Schedule


class Cells:
    """Term 1 is the decoder at t_min; terms 2..T are equal stretches of the integral over [t_min, 1].

    A term is estimated at one time, uniform in its stretch: its expectation over that is the stretch of the integral.

    Args:
        schedule: of any kind.
        cells: number of terms.
        clip: whether x0_hat is clipped to [-1, 1].
        levels: how many values a pixel of the data can take.
        decoder: of the reconstruction; None for the discretised one.
    """

    def __init__(self, schedule: Schedule, cells: int, clip: bool, levels: int, decoder: Decoder | None = None) -> None:
        if cells < 2:
            raise ValueError(f"likelihood.cells: {cells}; allowed are whole numbers from 2")
        self.bound = ContinuousBound(schedule, levels, clip, decoder)
        self.schedule, self.T, self.clip, self.levels = schedule, cells, clip, levels

    def times(self, k: Int[Tensor, " batch"], place: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        share = ((k.double() - 2 + place) / (self.T - 1)).clamp(min=0)
        return self.schedule.t_min + (1 - self.schedule.t_min) * share

    def prior(self, x0: Tensor) -> Float[Tensor, " batch"]:
        return self.bound.prior(x0)

    def score(self, case: Case) -> Float[Tensor, " batch"]:
        stretch = self.bound.density(case.x0, case.x0_hat, case.t) / (self.T - 1)
        return torch.where(case.k == 1, self.bound.reconstruction(case.x0, case.eps), stretch)
