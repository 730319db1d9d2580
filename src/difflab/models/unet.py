"""The U-Net of DDPM (Ho et al., 2020, appendix B)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.time_embedding import TimeEmbedding


def norm(channels: int, groups: int) -> nn.GroupNorm:
    """GroupNorm with as many of `groups` as divide the channels."""
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels, eps=1e-6)


def zero(layer: nn.Module) -> nn.Module:
    """The layer with its weights at zero: each residual branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Residual(nn.Module):
    """GroupNorm, SiLU, convolution, twice, with the time embedding added between; around it a skip."""

    def __init__(self, c_in: int, c_out: int, c_time: int, dropout: float, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(c_in, groups), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time = nn.Linear(c_time, c_out)
        self.norm2, self.conv2 = norm(c_out, groups), zero(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time(time)[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(self.norm2(h))))
        return self.skip(x) + h


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map, with a skip."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = norm(channels, groups)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(pixels).reshape(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        return x + self.out(mixed).transpose(1, 2).reshape(n, c, h, w)


class Stage(nn.Module):
    """A residual block, then attention where the resolution asks for it."""

    def __init__(self, block: Residual, attention: Attention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = self.block(x, time)
        return x if self.attention is None else self.attention(x)


class Down(nn.Module):
    """Half the resolution: a stride-2 convolution, padded at the right and the bottom as in DDPM."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Twice the resolution: nearest neighbours, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """network(x, c_noise) -> an output of the shape of x, or of `outputs` times its channels.

    Args:
        shape: (channels, height, width) of the images.
        c_noise: what the network is told about time (`difflab.models.StepIndex`).
        channels: width of the first level.
        multipliers: width of each level in units of `channels`; each but the first halves the resolution.
        blocks: residual blocks a level.
        attention: heights of the feature maps that get self-attention; the middle always does.
        heads: attention heads.
        dropout: in the residual blocks.
        groups: of GroupNorm, at most.
        outputs: for each channel of the image: 2 with a learned variance.

    Raises:
        ValueError: where the image cannot be halved that often.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        channels: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        heads: int,
        dropout: float,
        groups: int,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"model: a U-Net of data of shape {tuple(shape)}; allowed for points is model=mlp")
        c_image, height, width = shape
        stride = 2 ** (len(multipliers) - 1)
        if height % stride or width % stride:
            raise ValueError(
                f"model.multipliers: {len(multipliers)} levels halve the image {len(multipliers) - 1} times, "
                f"so its sides must be divisible by {stride}; the data has {height}x{width}"
            )
        wrong = [m * channels for m in multipliers if m * channels % heads]
        if channels % 2 or wrong:
            raise ValueError(f"model.channels: {channels} must be even and every level divisible by heads={heads}")
        self.c_noise = c_noise
        c_time = 4 * channels
        self.time = TimeEmbedding(channels, c_time)
        self.conv_in = nn.Conv2d(c_image, channels, 3, padding=1)

        def stage(c_in: int, c_out: int, side: int) -> Stage:
            block = Residual(c_in, c_out, c_time, dropout, groups)
            return Stage(block, Attention(c_out, heads, groups) if side in attention else None)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, side, skips = channels, height, [channels]
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(stage(c, multiplier * channels, side))
                c = multiplier * channels
                skips.append(c)
            if level < len(multipliers) - 1:
                self.down.append(Down(c))
                side //= 2
                skips.append(c)
        self.middle = nn.ModuleList(
            [
                Stage(Residual(c, c, c_time, dropout, groups), Attention(c, heads, groups)),
                Stage(Residual(c, c, c_time, dropout, groups), None),
            ]
        )
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(stage(c + skips.pop(), multiplier * channels, side))
                c = multiplier * channels
            if level > 0:
                self.up.append(Up(c))
                side *= 2
        self.norm_out, self.conv_out = norm(c, groups), zero(nn.Conv2d(c, outputs * c_image, 3, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                if module.weight.any():  # the zero layers stay zero
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "batch c h w"], c_noise: Float[Tensor, " batch"]) -> Tensor:
        time = functional.silu(self.time(c_noise))
        h = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for layer in self.down:
            h = layer(h, time) if isinstance(layer, Stage) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, time)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], dim=1), time) if isinstance(layer, Stage) else layer(h)
        return self.conv_out(functional.silu(self.norm_out(h)))
