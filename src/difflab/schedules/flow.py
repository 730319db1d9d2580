"""The linear interpolant of flow matching."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules.schedule import Marginal, Schedule


class Flow(Schedule):
    """x_t = (1 - t) x_0 + t eps (Liu et al., 2023; Lipman et al., 2023): at t = 1 alpha is 0 and log_snr -inf.

    Args:
        t_min: the earliest noisy time.

    Raises:
        ValueError: unless 0 < t_min < 1.
    """

    def __init__(self, t_min: float) -> None:
        super().__init__()
        if not 0 < t_min < 1:
            raise ValueError(f"schedule.t_min: {t_min}; allowed are numbers between 0 and 1")
        self.t_min = t_min

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        t = t.double()
        return Marginal(1 - t, t, 2 * (torch.log1p(-t) - t.log()))

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return torch.sigmoid(-log_snr.double() / 2).clamp(self.t_min, 1.0)
