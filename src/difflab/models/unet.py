"""The U-Net of DDPM (Ho et al., 2020, appendix B), and by configuration that of Improved DDPM and of ADM."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.condition import Condition
from difflab.models.checkpointing import lean
from difflab.models.class_embedding import ClassEmbedding
from difflab.models.first_weights import start_as_ddpm
from difflab.models.resampling import Convolutions, Resampling
from difflab.models.sinusoids import SinesFirst, SinusoidKind
from difflab.models.time_embedding import TimeEmbedding
from difflab.models.unet_blocks import Attention, Residual, Stage, norm, zero
from difflab.models.unet_limits import check_sides, check_widths

SINES_FIRST = SinesFirst()
CONVOLUTIONS = Convolutions(symmetric=False)


class UNet(nn.Module):
    """network(x, c_noise, condition) -> an output of the shape of x, or of `outputs` times its channels.

    What has a default is as in DDPM, for networks that were trained before it could be chosen.

    Args:
        shape: (channels, height, width) of the images.
        c_noise: what the network is told about time (`difflab.models.StepIndex`).
        channels: width of the first level.
        multipliers: width of each level in units of `channels`; each but the first halves the resolution.
        blocks: residual blocks a level.
        attention: heights of the feature maps that get self-attention; the middle always does.
        heads: attention heads, or None:
        head_channels: width of a head, or None; one of the two is given.
        dropout: in the residual blocks.
        groups: of GroupNorm, at most.
        norm_eps: of GroupNorm.
        scale_shift: the embedding scales and shifts the second norm of a block instead of being added before it.
        resample: what stands between the levels.
        sinusoids: which ones the time embedding begins with.
        time_channels: number of them, even; None for `channels`. The embedding is 4 times as wide.
        xavier: first weights as in DDPM; PyTorch's own without, as in Improved DDPM and ADM. Zero last layers in both.
        self_condition: takes `condition.x0`, an earlier estimate of x_0, beside x (Chen et al., 2023, section 3.2).
        checkpointing: keep only what lies between blocks for the backward pass, and compute the rest again.
        outputs: for each channel of the image: 2 with a learned variance.
        classes: that the network can be told; 0 for none.
        told_channels: of an image that it is told beside x; 0 for none.
        told_numbers: how many it is told of how an image was augmented; 0 for none.

    Raises:
        ValueError: where the image cannot be halved that often, and for widths that do not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        channels: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        heads: int | None,
        dropout: float,
        groups: int,
        norm_eps: float = 1e-6,
        head_channels: int | None = None,
        scale_shift: bool = False,
        resample: Resampling = CONVOLUTIONS,
        sinusoids: SinusoidKind = SINES_FIRST,
        time_channels: int | None = None,
        xavier: bool = True,
        self_condition: bool = False,
        checkpointing: bool = False,
        outputs: int = 1,
        classes: int = 0,
        told_channels: int = 0,
        told_numbers: int = 0,
    ) -> None:
        super().__init__()
        check_sides(shape, multipliers)
        check_widths(channels, multipliers, heads, head_channels)
        c_image, side = shape[0], shape[1]
        self.c_noise, self.checkpointing = c_noise, checkpointing
        self.self_condition, self.told_channels = self_condition, told_channels
        time_channels = channels if time_channels is None else time_channels
        c_time = 4 * time_channels
        self.time = TimeEmbedding(time_channels, c_time, sinusoids)
        self.classes = ClassEmbedding(classes, c_time) if classes else None
        self.augment = nn.Linear(told_numbers, c_time, bias=False) if told_numbers else None
        c_in = c_image + told_channels + (c_image if self_condition else 0)
        self.conv_in = nn.Conv2d(c_in, channels, 3, padding=1)
        normed = partial(norm, groups=groups, eps=norm_eps)
        block = partial(Residual, c_time=c_time, dropout=dropout, norm=normed, scale_shift=scale_shift)

        def attended(c: int) -> Attention:
            return Attention(c, heads or c // (head_channels or c), normed)

        def stage(c_in: int, c_out: int, side: int) -> Stage:
            return Stage(block(c_in, c_out), attended(c_out) if side in attention else None)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, skips = channels, [channels]
        for level, multiplier in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(stage(c, multiplier * channels, side))
                c = multiplier * channels
                skips.append(c)
            if level < len(multipliers) - 1:
                self.down.append(resample.down(c, block))
                side //= 2
                skips.append(c)
        self.middle = nn.ModuleList([Stage(block(c, c), attended(c)), Stage(block(c, c), None)])
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.up.append(stage(c + skips.pop(), multiplier * channels, side))
                c = multiplier * channels
            if level > 0:
                self.up.append(resample.up(c, block))
                side *= 2
        self.norm_out, self.conv_out = normed(c, silu=True), zero(nn.Conv2d(c, outputs * c_image, 3, padding=1))
        if xavier:
            start_as_ddpm(self, last=self.conv_out)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, x: Float[Tensor, "batch c h w"], c_noise: Float[Tensor, " batch"], condition: Condition | None = None
    ) -> Tensor:
        told = condition or Condition()
        time = functional.silu(self.embedded(c_noise, told))
        h = self.conv_in(self.beside(x, told).contiguous(memory_format=torch.channels_last))
        skips = [h]
        for layer in self.down:
            h = self.run(layer, time, h)
            skips.append(h)
        for layer in self.middle:
            h = self.run(layer, time, h)
        for layer in self.up:
            h = self.run(layer, time, h, skips.pop()) if isinstance(layer, Stage) else self.run(layer, time, h)
        return self.conv_out(self.norm_out(h))

    def embedded(self, c_noise: Tensor, told: Condition) -> Tensor:
        """The time with what is told as numbers; nothing is added for what is not."""
        time = self.time(c_noise)
        if self.classes is not None and told.classes is not None:
            time = time + self.classes(told.classes)
        if self.augment is not None and told.augment is not None:
            time = time + self.augment(told.augment.to(time))
        return time

    def beside(self, x: Tensor, told: Condition) -> Tensor:
        """x with what is told as channels; zeros for what is not."""
        parts = [x]
        if self.told_channels:
            n, _, h, w = x.shape
            parts.append(x.new_zeros(n, self.told_channels, h, w) if told.image is None else told.image.to(x))
        if self.self_condition:
            parts.append(torch.zeros_like(x) if told.x0 is None else told.x0.to(x))
        return torch.cat(parts, dim=1) if len(parts) > 1 else x

    def run(self, layer: nn.Module, time: Tensor, *parts: Tensor) -> Tensor:
        """A layer on these features side by side; with `checkpointing` nothing else is kept for the backward pass."""

        def whole(time: Tensor, *parts: Tensor) -> Tensor:
            return layer(SideBySide.apply(*parts) if len(parts) > 1 else parts[0], time)

        return lean(whole, time, *parts, checkpointing=self.checkpointing)


class SideBySide(torch.autograd.Function):
    """Features along the channels; each gets its gradient as one piece of memory, which several layers will read."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in parts]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        pieces = grads[0].split(ctx.channels, dim=1)
        return tuple(piece.contiguous(memory_format=torch.channels_last) for piece in pieces)
