"""Sines and cosines of c_noise, at frequencies that are fixed (DDPM++) or drawn (NCSN++)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Sinusoids(nn.Module):
    """Frequencies 10000^(-i/(half - 1)), as DDPM has (Ho et al., 2020); sines first, then cosines.

    Args:
        channels: how many sines and cosines together, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, half = channels, halved(channels)
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
        self.register_buffer("frequencies", frequencies.float(), persistent=False)

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
        angle = c_noise[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class Fourier(nn.Module):
    """Frequencies from N(0, scale^2), drawn once (Tancik et al., 2020): for c_noise of the size of 1, as log sigma.

    Args:
        channels: how many sines and cosines together, even.
        scale: standard deviation of the frequencies.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("frequencies", torch.randn(halved(channels)) * scale)

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
        angle = c_noise[:, None] * (2 * math.pi * self.frequencies)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


def halved(channels: int) -> int:
    """As many frequencies as there are pairs.

    Raises:
        ValueError: for an odd number.
    """
    if channels % 2:
        raise ValueError(f"model.embedding.channels: {channels}; allowed are even numbers")
    return channels // 2
