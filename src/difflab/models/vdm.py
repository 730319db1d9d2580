"""The network of variational diffusion models: a deep U-Net that never halves the image."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.condition import Condition
from difflab.models.checkpointing import lean
from difflab.models.time_embedding import TimeEmbedding
from difflab.models.unet import check_sides, check_widths
from difflab.models.unet_blocks import Attention, Residual, Stage, norm, zero

CUT = 0.87962566103423978  # standard deviation of a standard normal number that is cut at 2


class VDM(nn.Module):
    """network(x, c_noise) -> an output of the shape of x, which begins as x itself.

    Kingma et al. (2021), appendix B, as in its published code: `blocks` residual blocks down and one more up, all at
    full resolution and of one width, attention in the middle alone, and beside x its Fourier features sin(2^n 2 pi x)
    and cos(2^n 2 pi x), which show the digits of a level that hardly differ from those of the level beside it.

    Args:
        shape: (channels, height, width) of the images.
        c_noise: what the network is told about time.
        channels: of every feature map.
        blocks: residual blocks on the way down.
        fourier: the powers n of the Fourier features; none for no such features.
        dropout: in the residual blocks.
        groups: of GroupNorm, at most.
        checkpointing: keep only what lies between blocks for the backward pass, and compute the rest again.
        outputs: for each channel of the image: 2 with a learned variance.

    Raises:
        ValueError: for points, and for an odd number of channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        channels: int,
        blocks: int,
        fourier: Sequence[int],
        dropout: float,
        groups: int,
        checkpointing: bool,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        check_sides(shape, [1])
        check_widths(channels, [1], 1, None)
        c_image = shape[0]
        self.c_noise, self.fourier, self.checkpointing = c_noise, list(fourier), checkpointing
        self.time = TimeEmbedding(channels, 4 * channels)
        normed = partial(norm, groups=groups, eps=1e-6)

        def stage(c_in: int, attention: bool = False) -> Stage:
            block = Residual(c_in, channels, 4 * channels, dropout, normed, scale_shift=False)
            block.time = nn.Linear(4 * channels, channels, bias=False)
            return Stage(block, Attention(channels, 1, normed) if attention else None)

        self.conv_in = nn.Conv2d(c_image * (1 + 2 * len(self.fourier)), channels, 3, padding=1)
        self.down = nn.ModuleList(stage(channels) for _ in range(blocks))
        self.middle = nn.ModuleList([stage(channels, attention=True), stage(channels)])
        self.up = nn.ModuleList(stage(2 * channels) for _ in range(blocks + 1))
        self.norm_out, self.conv_out = normed(channels, silu=True), nn.Conv2d(channels, outputs * c_image, 3, padding=1)
        start_as_published(self)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, x: Float[Tensor, "batch c h w"], c_noise: Float[Tensor, " batch"], condition: Condition | None = None
    ) -> Tensor:
        time = functional.silu(self.time(c_noise))
        h = self.conv_in(self.beside(x).contiguous(memory_format=torch.channels_last))
        skips = [h]
        for layer in self.down:
            h = self.run(layer, h, time)
            skips.append(h)
        for layer in self.middle:
            h = self.run(layer, h, time)
        for layer in self.up:
            h = self.run(layer, torch.cat([h, skips.pop()], dim=1), time)
        output = self.conv_out(self.norm_out(h))
        c = x.shape[1]
        return torch.cat([x + output[:, :c], output[:, c:]], dim=1)

    def beside(self, x: Tensor) -> Tensor:
        """x with its Fourier features."""
        angles = [2.0**n * 2 * math.pi * x for n in self.fourier]
        return torch.cat([x, *(a.sin() for a in angles), *(a.cos() for a in angles)], dim=1)

    def run(self, layer: nn.Module, h: Tensor, time: Tensor) -> Tensor:
        """A block; of its insides nothing is kept for the backward pass with `checkpointing`."""
        return lean(layer, h, time, checkpointing=self.checkpointing)


def start_as_published(network: VDM) -> None:
    """First weights of variance 1/fan-in, normal and cut at two standard deviations; zero where a branch ends."""
    silent: set[nn.Module] = {network.conv_out}
    for module in network.modules():
        if isinstance(module, Residual):
            silent |= {module.time, module.conv2}
        elif isinstance(module, Attention):
            silent.add(module.out)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module in silent:
                zero(module)
                continue
            std = module.weight[0].numel() ** -0.5 / CUT
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
