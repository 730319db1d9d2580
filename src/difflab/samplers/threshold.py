"""What is done to x0_hat when it leaves the range of the data."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Threshold(Protocol):
    """x0_hat to an x0_hat within the range of the data."""

    def __call__(self, x0: Tensor) -> Tensor: ...


class Clip:
    """Clipped to [-1, 1] (Ho et al., 2020, Algorithm 2 as published in code)."""

    def __call__(self, x0: Tensor) -> Tensor:
        return x0.clamp(-1, 1)


class Dynamic:
    """Clipped to [-s, s] and divided by s, the percentile of |x0| of each image where that is above 1.

    Dynamic thresholding (Saharia et al., 2022, section 2.3): for guidance that drives pixels out of the range.

    Args:
        percentile: in (0, 1).
    """

    def __init__(self, percentile: float) -> None:
        if not 0 < percentile < 1:
            raise ValueError(f"sampler.clip: {percentile}; allowed are true, false, or a percentile between 0 and 1")
        self.percentile = percentile

    def __call__(self, x0: Tensor) -> Tensor:
        s = x0.abs().flatten(1).float().quantile(self.percentile, dim=1).clamp(min=1).to(x0)
        s = s.reshape(-1, *[1] * (x0.dim() - 1))
        return x0.clamp(-s, s) / s


def threshold(clip: bool | float) -> Threshold | None:
    """What `clip=` of a sampler stands for: true clips, false does nothing, a number is a percentile."""
    if isinstance(clip, bool):
        return Clip() if clip else None
    return Dynamic(clip)
