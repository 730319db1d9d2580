"""What the warps share: a schedule made of another one."""

from abc import ABC

import torch

from difflab.schedules.schedule import Schedule


class Warp(Schedule, ABC):
    """A variance-preserving schedule that changes another one, with the same steps, t_min and prior.

    Args:
        schedule: the one that is changed.

    Raises:
        ValueError: for a schedule with alpha^2 + sigma^2 other than 1.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        with torch.no_grad():
            alpha, sigma, _ = schedule.marginal(torch.linspace(schedule.t_min, 1, 9, dtype=torch.float64))
        if not (alpha**2 + sigma**2 - 1).abs().max() < 1e-9:
            found = type(schedule).__name__
            raise ValueError(f"warp: {type(self).__name__} needs a variance-preserving schedule; {found} is none")
        self.schedule = schedule
        self.T, self.L = schedule.T, schedule.L
        self.t_min, self.prior_std = schedule.t_min, schedule.prior_std
