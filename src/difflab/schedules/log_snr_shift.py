"""More noise for larger images."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from difflab.schedules.schedule import Marginal, Schedule
from difflab.schedules.warp import Warp


class LogSnrShift(Warp):
    """log_snr + 2 log(reference / resolution): the noise of the reference after averaging (Hoogeboom et al., 2023).

    A mean over n x n pixels has 1/n of the noise; the shift gives images of any resolution, averaged down to the
    reference, the log_snr of the schedule.

    Args:
        schedule: the one that was made for images of the reference.
        shape: of the images, [..., H, W]; the resolution is the geometric mean of the sides.
        reference: resolution without a shift, in pixels.

    Raises:
        ValueError: for data that are no images, and a reference that is not positive.
    """

    def __init__(self, schedule: Schedule, shape: tuple[int, ...], reference: float) -> None:
        super().__init__(schedule)
        if len(shape) < 2:
            raise ValueError(f"warp: LogSnrShift needs images of [..., H, W], not data of shape {tuple(shape)}")
        if not 0 < reference < math.inf:
            raise ValueError(f"warp.reference: {reference}; allowed are positive numbers")
        self.shift = 2 * math.log(reference / math.sqrt(shape[-2] * shape[-1]))

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        log_snr = self.schedule.marginal(t).log_snr + self.shift
        return Marginal(torch.exp(0.5 * logsigmoid(log_snr)), torch.exp(0.5 * logsigmoid(-log_snr)), log_snr)

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.schedule.time(log_snr.double() - self.shift)

    def slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.schedule.slope(t)

    def snr_slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return math.exp(self.shift) * self.schedule.snr_slope(t)
