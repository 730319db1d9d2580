"""The times that a sampler visits: a falling sequence in [t_min, 1], the last of them next to the data."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule


@runtime_checkable
class Grid(Protocol):
    """`steps` falling times of a schedule, float64; the number of network calls of a one-call sampler."""

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]: ...


def on_chain(schedule: Schedule, position: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Positions in [1/T, 1] to the nearest steps of the chain, where the schedule has one.

    Raises:
        ValueError: where two of them fall on the same step: more steps than the chain has.
    """
    if schedule.T is None:
        return position
    k = (position * schedule.T).round().clamp(1, schedule.T)
    if len(k) > 1 and (k.diff() >= 0).any():
        raise ValueError(f"sampler.steps: {len(k)}; allowed are 1 to T = {schedule.T}")
    return k / schedule.T


class Uniform:
    """Equal gaps from 1 down to t_min, both included."""

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        return on_chain(schedule, torch.linspace(1, schedule.t_min, steps, dtype=torch.float64))


class Leading:
    """k = 1, 1 + T//steps, 1 + 2 (T//steps), ...: reaches t_min but not 1 (Song et al., 2021; spacing of DDIM)."""

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        if schedule.T is None:
            raise ValueError("grid: leading is a spacing of chains; this schedule has no T: use grid=uniform")
        stride = schedule.T // steps
        return on_chain(schedule, (1 + stride * torch.arange(steps - 1, -1, -1, dtype=torch.float64)) / schedule.T)


class Trailing:
    """t = 1, 1 - 1/steps, ...: starts from pure noise (Lin et al., 2024, section 3.3)."""

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        t = torch.arange(steps, 0, -1, dtype=torch.float64) / steps
        return on_chain(schedule, t.clamp(min=schedule.t_min))
