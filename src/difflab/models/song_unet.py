"""DDPM++ and NCSN++: the U-Nets of the score SDE paper as EDM trains them."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.condition import Condition
from difflab.models.checkpointing import lean
from difflab.models.noise_embedding import Fourier, Sinusoids
from difflab.models.song_blocks import NEARLY_ZERO, Entry, Resample, Residual, drawn, norm


class SongUNet(nn.Module):
    """network(x, c_noise, condition) -> an output of the shape of x, or of `outputs` times its channels.

    Song et al. (2021), appendix H, in the form of Karras et al. (2022), Table 7: one architecture with two settings,
    DDPM++ (sinusoids, [1, 1]) and NCSN++ (drawn frequencies, [1, 3, 3, 1], entries).

    Args:
        shape: (channels, height, width) of the images.
        c_noise: what the network is told about time.
        embedding: of c_noise.
        channels: width of the first convolution; the embedding is 4 times as wide.
        multipliers: width of each level in units of `channels`; each but the first halves the resolution.
        blocks: residual blocks a level, on the way down; one more on the way up.
        attention: heights of the feature maps that get self-attention, of which the way up has it in its last block;
            the middle always does.
        dropout: in the residual blocks.
        taps: of the filter of every change of resolution.
        entries: whether the image enters every level of the encoder.
        checkpointing: keep only what lies between blocks for the backward pass, and compute the rest again.
        outputs: for each channel of the image: 2 with a learned variance.
        classes: how many the network can be told; 0 for none. A class that is not told is a row of zeros.
        told_numbers: how many it is told of how an image was augmented.

    Raises:
        ValueError: for points, where the image cannot be halved that often, and for channels or taps that do not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        embedding: Sinusoids | Fourier,
        channels: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        dropout: float,
        taps: Sequence[float],
        entries: bool,
        checkpointing: bool,
        outputs: int = 1,
        classes: int = 0,
        told_numbers: int = 0,
    ) -> None:
        super().__init__()
        check(shape, channels, multipliers, taps)
        c_image, side = shape[0], shape[1]
        self.c_noise, self.checkpointing = c_noise, checkpointing
        self.embedding, wide = embedding, 4 * channels
        self.classes = drawn(nn.Linear(classes, embedding.channels)) if classes else None
        self.augment = drawn(nn.Linear(told_numbers, embedding.channels, bias=False)) if told_numbers else None
        self.embed0, self.embed1 = drawn(nn.Linear(embedding.channels, wide)), drawn(nn.Linear(wide, wide))

        def block(c_in: int, c_out: int, resample: Resample | None = None, attention: bool = False) -> Residual:
            return Residual(c_in, c_out, wide, dropout, resample, attention)

        self.conv_in = drawn(nn.Conv2d(c_image, channels, 3, padding=1))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        c, entering, skips = channels, c_image, [channels]
        for level, multiplier in enumerate(multipliers):
            if level > 0:
                side //= 2
                self.down.append(block(c, c, Resample(taps)))
                skips.append(c)
                if entries:
                    self.down.append(Entry(entering, c, taps))
                    entering = c
            for _ in range(blocks):
                self.down.append(block(c, multiplier * channels, attention=side in attention))
                c = multiplier * channels
                skips.append(c)
        self.middle = nn.ModuleList([block(c, c, attention=True), block(c, c)])
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for i in range(blocks + 1):
                here = i == blocks and side in attention
                self.up.append(block(c + skips.pop(), multiplier * channels, attention=here))
                c = multiplier * channels
            if level > 0:
                self.up.append(block(c, c, Resample(taps, up=True)))
                side *= 2
        self.norm_out = norm(c, silu=True)
        self.conv_out = drawn(nn.Conv2d(c, outputs * c_image, 3, padding=1), NEARLY_ZERO)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, x: Float[Tensor, "batch c h w"], c_noise: Float[Tensor, " batch"], condition: Condition | None = None
    ) -> Tensor:
        embedding = self.told(c_noise, condition or Condition())
        image = x.contiguous(memory_format=torch.channels_last)
        h = self.conv_in(image)
        skips = [h]
        for layer in self.down:
            if isinstance(layer, Entry):
                h = image = skips[-1] = layer(h, image)
            else:
                h = self.run(layer, h, embedding)
                skips.append(h)
        for layer in self.middle:
            h = self.run(layer, h, embedding)
        for layer in self.up:
            h = self.run(layer, h if layer.resample else torch.cat([h, skips.pop()], dim=1), embedding)
        return self.conv_out(self.norm_out(h))

    def told(self, c_noise: Tensor, condition: Condition) -> Tensor:
        """The embedding of all that the network is told beside the image."""
        told = self.embedding(c_noise)
        if self.classes is not None:
            width, classes = self.classes.in_features, condition.classes
            rows = told.new_zeros(len(told), width) if classes is None else one_hot(classes, width).to(told)
            told = told + self.classes(rows * math.sqrt(width))
        if self.augment is not None and condition.augment is not None:
            told = told + self.augment(condition.augment.to(told))
        return functional.silu(self.embed1(functional.silu(self.embed0(told))))

    def run(self, layer: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
        """A block; of its insides nothing is kept for the backward pass with `checkpointing`."""
        return lean(layer, h, embedding, checkpointing=self.checkpointing)


def one_hot(classes: Tensor, number: int) -> Tensor:
    """A row for each, zeros for UNKNOWN, which is -1; any other number that is no class is an error."""
    return functional.one_hot(classes.long() + 1, number + 1)[:, 1:]


def check(shape: Sequence[int], channels: int, multipliers: Sequence[int], taps: Sequence[float]) -> None:
    """Refuse what gives no network.

    Raises:
        ValueError: naming the field.
    """
    if len(shape) != 3:
        raise ValueError(f"model: a U-Net of data of shape {tuple(shape)}; allowed for points is model=mlp")
    stride = 2 ** (len(multipliers) - 1)
    if shape[1] % stride or shape[2] % stride:
        raise ValueError(
            f"model.multipliers: {len(multipliers)} levels halve the image {len(multipliers) - 1} times, "
            f"so its sides must be divisible by {stride}; the data has {shape[1]}x{shape[2]}"
        )
    if channels % 4:
        raise ValueError(f"model.channels: {channels}; allowed are multiples of 4, which is the least group of a norm")
    if len(taps) % 2 or not sum(taps) > 0:
        raise ValueError(f"model.taps: {list(taps)}; allowed is an even number of taps with a positive sum")
