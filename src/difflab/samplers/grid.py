"""The times that a sampler visits: a falling sequence in [t_min, 1], the last of them next to the data.

Uniform, leading, trailing and quadratic grids are spaced in time and stay on the steps of a chain. Those spaced in the
noise level (LogSNR, Karras) and the explicit one may fall between two steps, where a chain is defined as well.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Schedule


@runtime_checkable
class Grid(Protocol):
    """`steps` falling times of a schedule, float64; the number of network calls of a one-call sampler.

    Attributes:
        steps: how many there are where the grid itself says so, else None.
    """

    steps: int | None

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

    steps = None

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        return on_chain(schedule, torch.linspace(1, schedule.t_min, steps, dtype=torch.float64))


class Leading:
    """k = 1, 1 + T//steps, 1 + 2 (T//steps), ...: reaches t_min but not 1 (Song et al., 2021; spacing of DDIM)."""

    steps = None

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        if schedule.T is None:
            raise ValueError("grid: leading is a spacing of chains; this schedule has no T: use grid=uniform")
        stride = schedule.T // steps
        return on_chain(schedule, (1 + stride * torch.arange(steps - 1, -1, -1, dtype=torch.float64)) / schedule.T)


class Trailing:
    """t = 1, 1 - 1/steps, ...: starts from pure noise (Lin et al., 2024, section 3.3)."""

    steps = None

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        t = torch.arange(steps, 0, -1, dtype=torch.float64) / steps
        return on_chain(schedule, t.clamp(min=schedule.t_min))


class Quadratic:
    """Equal gaps in sqrt(t) from 1 to t_min: more of the times near the data (Song et al., 2021, DDIM, appendix D.2).

    Where the gaps near t_min are below one step of a chain its first steps are taken one by one, up to where the
    square overtakes them: as many times as asked, and none twice.
    """

    steps = None

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        t = torch.linspace(1, schedule.t_min**0.5, steps, dtype=torch.float64).square().clamp(min=schedule.t_min)
        if schedule.T is not None:
            t = t.maximum(torch.arange(steps, 0, -1, dtype=torch.float64) / schedule.T)
        return on_chain(schedule, t)


class LogSNR:
    """Equal gaps in log_snr from t = 1 to t_min (Lu et al., 2022, DPM-Solver, section 3.4).

    Args:
        lowest: where the gaps start if log_snr(1) is -inf; there t = 1 takes its place.

    Raises:
        ValueError: for a lowest that is not finite; when called, for one above log_snr(t_min) where it is needed.
    """

    steps = None

    def __init__(self, lowest: float) -> None:
        if not math.isfinite(lowest):
            raise ValueError(f"grid.lowest: {lowest}; allowed are finite numbers")
        self.lowest = lowest

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        first, last = ends(schedule, self.lowest, f"grid.lowest: {self.lowest}")
        return at_log_snr(schedule, torch.linspace(first, last, steps, dtype=torch.float64))


class Karras:
    """Equal gaps in (sigma/alpha)^(1/rho) from t = 1 to t_min (Karras et al., 2022, Eq. 5).

    Args:
        rho: 1 spaces sigma/alpha evenly, infinity its logarithm; larger values put more of the times near the data.
        sigma_max: where the gaps start if sigma/alpha is infinite at t = 1; there t = 1 takes its place.

    Raises:
        ValueError: for values that are not positive; when called, for a sigma_max below sigma/alpha at t_min where it
            is needed.
    """

    steps = None

    def __init__(self, rho: float, sigma_max: float) -> None:
        for field, value in (("rho", rho), ("sigma_max", sigma_max)):
            if not 0 < value < math.inf:
                raise ValueError(f"grid.{field}: {value}; allowed are positive numbers")
        self.rho, self.sigma_max = rho, sigma_max

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        first, last = (
            math.exp(-log_snr / (2 * self.rho))
            for log_snr in ends(schedule, -2 * math.log(self.sigma_max), f"grid.sigma_max: {self.sigma_max}")
        )
        root = torch.linspace(first, last, steps, dtype=torch.float64)
        return at_log_snr(schedule, -2 * self.rho * root.log())


class Explicit:
    """The times of a list, such as steps tuned for one model; the list owns their number.

    Args:
        times: falling, within [0, 1]; a last one below t_min stands for t_min.

    Raises:
        ValueError: for an empty list, one that leaves [0, 1] or does not fall; when called, for more than one time at
            or below t_min.
    """

    def __init__(self, times: Sequence[float]) -> None:
        falling = all(later < earlier for earlier, later in pairwise(times))
        if not (times and falling and all(0 <= t <= 1 for t in times)):
            raise ValueError(f"grid.times: {list(times)}; allowed are falling numbers from 1 to 0, at least one")
        self.times, self.steps = torch.tensor(times, dtype=torch.float64), len(times)

    def __call__(self, schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
        t = self.times.clamp(min=schedule.t_min)
        if len(t) > 1 and t[-2] <= t[-1]:
            raise ValueError(f"grid.times: {self.times.tolist()}; allowed is only one below t_min = {schedule.t_min:g}")
        return t


def ends(schedule: Schedule, lowest: float, blamed: str) -> tuple[float, float]:
    """log_snr at 1, or `lowest` where that is -inf, and at t_min.

    Raises:
        ValueError: where they do not rise, with the field and value `blamed` for it.
    """
    with torch.no_grad():
        first, last = schedule.marginal(torch.tensor([1, schedule.t_min], dtype=torch.float64)).log_snr.tolist()
    if first > -math.inf:
        return first, last
    if lowest >= last:
        raise ValueError(f"{blamed}; must be noisier than t_min, where log_snr is {last:g}")
    return lowest, last


def at_log_snr(schedule: Schedule, log_snr: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
    """Times of these log_snr, the first and the last exactly at the ends of the schedule."""
    t = schedule.time(log_snr)
    t[-1] = schedule.t_min
    t[0] = 1  # last, since the only time of a grid of one is the first
    return t
