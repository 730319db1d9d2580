"""Sines, then cosines, of c_noise at frequencies that are fixed (DDPM++) or drawn (NCSN++)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.models.sinusoids import SinesFirst


class Sinusoids(nn.Module):
    """The fixed frequencies of DDPM (Ho et al., 2020).

    Args:
        channels: how many sines and cosines together, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("frequencies", SinesFirst().frequencies(halved(channels)), persistent=False)

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
        return SinesFirst().of(c_noise[:, None] * self.frequencies)


class Fourier(nn.Module):
    """Frequencies from N(0, scale^2), drawn once (Tancik et al., 2020): for c_noise of the size of 1, as log sigma.

    Args:
        channels: how many sines and cosines together, even.
        scale: standard deviation of the frequencies, in turns.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("frequencies", torch.randn(halved(channels)) * scale)

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
        return SinesFirst().of(c_noise[:, None] * (2 * math.pi * self.frequencies))


def halved(channels: int) -> int:
    """As many frequencies as there are pairs.

    Raises:
        ValueError: for an odd number.
    """
    if channels % 2:
        raise ValueError(f"model.embedding.channels: {channels}; allowed are even numbers")
    return channels // 2
