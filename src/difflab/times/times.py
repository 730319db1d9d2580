"""What drawing a training time is."""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule


class Drawn(NamedTuple):
    """Times in [t_min, 1], float64, and what each example's loss is multiplied by; both [batch].

    The weight is the uniform density over the density drawn from where that density is only a way to compute the same
    objective with less noise, and 1 where it is part of the objective.
    """

    t: Tensor
    weight: Tensor


@runtime_checkable
class Times(Protocol):
    """Uniform numbers of the whole global batch to times: the same on every process.

    Attributes:
        unbiased: whether the weighted loss has the expectation that uniform times give.
    """

    unbiased: bool

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn: ...


@runtime_checkable
class Observer(Protocol):
    """Times that learn from the losses: `observe` is told every example of the global batch after each of them."""

    def observe(self, t: Float[Tensor, " batch"], loss: Float[Tensor, " batch"], schedule: Schedule) -> None: ...


def cells(schedule: Schedule, continuous: int) -> int:
    """How many cells [0, 1) is cut into: one for each step of a chain or level of a ladder, else `continuous`."""
    return schedule.T or schedule.L or continuous


def place(uniform: Float[Tensor, "*batch"], schedule: Schedule) -> Float[Tensor, "*batch"]:
    """Numbers of [0, 1) to times: the steps of a chain or the levels of a ladder, each with the same chance, or evenly
    over [t_min, 1]."""
    if schedule.T is not None:
        return (torch.floor(uniform * schedule.T) + 1).clamp(max=schedule.T) / schedule.T
    if schedule.L is not None:
        return torch.floor(uniform * schedule.L).clamp(max=schedule.L - 1) / (schedule.L - 1)
    return schedule.t_min + (1 - schedule.t_min) * uniform


def nearest(t: Float[Tensor, "*batch"], schedule: Schedule) -> Float[Tensor, "*batch"]:
    """The times that the network is trained at nearest to `t`, within [t_min, 1]."""
    if schedule.T is not None:
        return (t * schedule.T).round().clamp(1, schedule.T) / schedule.T
    if schedule.L is not None:
        return (t * (schedule.L - 1)).round().clamp(0, schedule.L - 1) / (schedule.L - 1)
    return t.clamp(schedule.t_min, 1)


def normal(uniform: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Numbers of [0, 1) to standard normal ones, by the inverse of their distribution; all of them finite."""
    return torch.special.ndtri(uniform.clamp(2**-54, 1 - 2**-53))


def check_normal(mean: float, std: float) -> None:
    """Whether a normal distribution may have these moments.

    Raises:
        ValueError: unless the mean is finite and the standard deviation positive and finite.
    """
    if not math.isfinite(mean):
        raise ValueError(f"times.mean: {mean}; allowed are finite numbers")
    if not 0 < std < math.inf:
        raise ValueError(f"times.std: {std}; allowed are positive numbers")
