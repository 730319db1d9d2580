"""Training times drawn evenly."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule


@runtime_checkable
class Times(Protocol):
    """Uniform numbers of the whole global batch to times in [t_min, 1], float64: the same on every process."""

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Float[Tensor, " batch"]: ...


def spread(uniform: Float[Tensor, " batch"], schedule: Schedule) -> Float[Tensor, " batch"]:
    """Numbers of [0, 1) to times: each of the T steps with the same chance, or evenly over [t_min, 1]."""
    if schedule.T is None:
        return schedule.t_min + (1 - schedule.t_min) * uniform
    return (torch.floor(uniform * schedule.T) + 1).clamp(max=schedule.T) / schedule.T


class Uniform:
    """Independent uniform times (Ho et al., 2020, Algorithm 1)."""

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Float[Tensor, " batch"]:
        return spread(uniform, schedule)
