"""The sinusoids that a time embedding begins with: published networks differ in them, and no weight tells how."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

PERIOD = 10000  # of the slowest, over 2 pi


@runtime_checkable
class SinusoidKind(Protocol):
    """Which frequencies, and in which order."""

    def frequencies(self, half: int) -> Float[Tensor, " half"]:
        """Of half as many as there are sinusoids."""
        ...

    def of(self, angle: Float[Tensor, "batch half"]) -> Float[Tensor, "batch sinusoids"]:
        """Of these angles, side by side."""
        ...


class SinesFirst:
    """Sines, then cosines, at frequencies 10000^(-i/(half - 1)), the slowest among them (Ho et al., 2020)."""

    def frequencies(self, half: int) -> Float[Tensor, " half"]:
        return torch.exp(-math.log(PERIOD) * torch.arange(half, dtype=torch.float64) / max(half - 1, 1)).float()

    def of(self, angle: Float[Tensor, "batch half"]) -> Float[Tensor, "batch sinusoids"]:
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class CosinesFirst:
    """Cosines, then sines, at frequencies 10000^(-i/half) (Nichol & Dhariwal, 2021; Dhariwal & Nichol, 2021).

    In float32 from the start, as their networks were trained: at c_noise = 1000 the last digit of a frequency tells.
    """

    def frequencies(self, half: int) -> Float[Tensor, " half"]:
        return torch.exp(-math.log(PERIOD) * torch.arange(half, dtype=torch.float32) / half)

    def of(self, angle: Float[Tensor, "batch half"]) -> Float[Tensor, "batch sinusoids"]:
        return torch.cat([angle.cos(), angle.sin()], dim=1)
