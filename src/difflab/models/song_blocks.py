"""Blocks of DDPM++ and NCSN++ (Song et al., 2021, appendix H), as EDM builds them."""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.attention import attend
from difflab.models.dropout import Dropout
from difflab.models.group_norm import GroupNorm

SHRINK = math.sqrt(0.5)  # the sum of two branches of equal size keeps their size
NEARLY_ZERO = 1e-5  # of layers that end a branch
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def drawn(layer: Layer, gain: float = 1.0) -> Layer:
    """The layer with weights from Xavier's uniform law, times `gain`, and without a bias to begin with."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def norm(channels: int, silu: bool = False) -> nn.GroupNorm:
    """GroupNorm, then SiLU if asked for; at most 32 groups of at least 4 channels, as many as divide the channels."""
    groups = max(min(32, channels // 4), 1)
    while channels % groups:
        groups -= 1
    return GroupNorm(groups, channels, 1e-6, silu)


class Resample(nn.Module):
    """Half or twice the resolution, smoothed by a separable filter; zeros lie around the image.

    Args:
        taps: of the filter, an even number of them; [1, 1] averages or repeats pixels, [1, 3, 3, 1] is bilinear.
        up: twice the resolution.
        padding: pixels around the image, of halving; as many as give exactly half where it is None.
    """

    def __init__(self, taps: Sequence[float], up: bool = False, padding: int | None = None) -> None:
        super().__init__()
        line = torch.as_tensor(taps, dtype=torch.float32)
        line = line / line.sum()
        self.taps, self.up = list(taps), up
        self.padding = (len(line) - 1) // 2 if padding is None else padding
        self.register_buffer("kernel", torch.outer(line, line)[None, None] * (4 if up else 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        resampled = functional.conv_transpose2d if self.up else functional.conv2d
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        return resampled(x, kernel, stride=2, padding=self.padding, groups=x.shape[1])


class Attention(nn.Module):
    """Self-attention with one head over the pixels of a feature map, with a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = drawn(nn.Conv2d(channels, 3 * channels, 1), math.sqrt(0.2))
        self.out = drawn(nn.Conv2d(channels, channels, 1), NEARLY_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        # query, key and value of a channel lie side by side, as in published weights
        q, k, v = self.qkv(self.norm(x)).flatten(2).unflatten(1, (c, 3)).permute(2, 0, 3, 1)
        mixed = attend(q, k, v).transpose(1, 2).reshape(n, c, height, width)
        return (x + self.out(mixed)) * SHRINK


class Residual(nn.Module):
    """Norm, SiLU, convolution, twice, with the embedding added between; a skip around it; then attention, if any.

    Args:
        c_in, c_out, c_embedding: channels.
        dropout: before the second convolution.
        resample: a change of resolution, of the branch before its first convolution and of the skip.
        attention: whether attention follows.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        c_embedding: int,
        dropout: float,
        resample: Resample | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm0, self.conv0 = norm(c_in, silu=True), drawn(nn.Conv2d(c_in, c_out, 3, padding=1))
        self.told = drawn(nn.Linear(c_embedding, c_out))
        self.norm1, self.conv1 = norm(c_out, silu=True), drawn(nn.Conv2d(c_out, c_out, 3, padding=1), NEARLY_ZERO)
        self.dropout = Dropout(dropout)
        projected = resample is not None or c_in != c_out
        self.skip = drawn(nn.Conv2d(c_in, c_out, 1)) if projected else nn.Identity()
        self.attention = Attention(c_out) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.norm0(x)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv0(h) + self.told(embedding)[:, :, None, None]
        h = self.conv1(self.dropout(self.norm1(h)))
        return self.attention((self.skip(x) + h) * SHRINK)


class Entry(nn.Module):
    """The image itself enters a level of the encoder again, at half its resolution: NCSN++'s residual encoder."""

    def __init__(self, c_in: int, c_out: int, taps: Sequence[float]) -> None:
        super().__init__()
        around = (len(taps) - 1) // 2
        self.conv = drawn(nn.Conv2d(c_in, c_out, 3, padding=1 + around))
        self.halve = Resample(taps, padding=0)  # the convolution has padded for both

    def forward(self, h: Tensor, image: Tensor) -> Tensor:
        return (h + self.halve(self.conv(image))) * SHRINK
