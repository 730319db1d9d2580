"""What a U-Net is made of: residual blocks and self-attention."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.attention import attend
from difflab.models.dropout import Dropout
from difflab.models.group_norm import GroupNorm

Norm = Callable[..., nn.Module]  # of a number of channels, and of whether SiLU follows


def norm(channels: int, groups: int, eps: float, silu: bool = False) -> nn.GroupNorm:
    """GroupNorm with as many of `groups` as divide the channels, then SiLU if asked for."""
    while channels % groups:
        groups -= 1
    return GroupNorm(groups, channels, eps, silu)


def zero(layer: nn.Module) -> nn.Module:
    """The layer with its weights at zero: each residual branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Residual(nn.Module):
    """GroupNorm, SiLU, convolution, twice, told the time between; around it a skip.

    Args:
        c_in, c_out, c_time: channels of what comes in and out, and of the embedding.
        dropout: before the second convolution.
        norm: of the features.
        scale_shift: the embedding scales and shifts the second norm's output, norm(h) (1 + scale) + shift, instead of
            being added before it (Nichol & Dhariwal, 2021, appendix A).
        resize: of the features, before the first convolution, and of the skip: a block that changes the resolution
            (Brock et al., 2019, as in Dhariwal & Nichol, 2021, section 3).
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        c_time: int,
        dropout: float,
        norm: Norm,
        scale_shift: bool,
        resize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.resize = resize or nn.Identity()
        self.norm1, self.conv1 = norm(c_in, silu=True), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time = nn.Linear(c_time, 2 * c_out if scale_shift else c_out)
        self.norm2, self.conv2 = norm(c_out, silu=not scale_shift), zero(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.dropout = Dropout(dropout)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(self.resize(self.norm1(x)))
        told = self.time(time)[:, :, None, None]
        if self.scale_shift:
            scale, shift = told.chunk(2, dim=1)
            h = functional.silu(self.norm2(h) * (1 + scale) + shift, inplace=not torch.is_grad_enabled())
        else:
            h = self.norm2(h.add_(told))
        return self.conv2(self.dropout(h)).add_(self.skip(self.resize(x)))


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map, with a skip."""

    def __init__(self, channels: int, heads: int, norm: Norm) -> None:
        super().__init__()
        self.heads = heads
        self.norm = norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(pixels).reshape(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        return x + self.out(mixed).transpose(1, 2).reshape(n, c, h, w)


class Stage(nn.Module):
    """A residual block, then attention where the resolution asks for it."""

    def __init__(self, block: Residual, attention: Attention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = self.block(x, time)
        return x if self.attention is None else self.attention(x)
