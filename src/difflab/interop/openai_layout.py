"""What the weights of improved-diffusion and guided-diffusion tell of their network, and what none of them tells."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from difflab.errors import ConfigError


class Layout(NamedTuple):
    """What weights tell of a network, and published networks are known by.

    Attributes:
        channels, time_channels: of the first level, and of the sinusoids.
        multipliers: width of each level in units of `channels`.
        blocks: residual blocks a level.
        attention: levels that have it, from 0.
        residual: whether residual blocks change the resolution.
    """

    channels: int
    time_channels: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    residual: bool


class Untold(NamedTuple):
    """What no weight tells.

    Attributes:
        height: of the images, which are square.
        heads, head_channels: of the attention, one of the two.
        all_queries_first: whether qkv holds the queries of all heads, then all keys, then all values, and not those
            of each head together (`use_new_attention_order`).
        schedule, T, c_noise: options and steps that the network was trained with.
    """

    height: int
    heads: int | None = None
    head_channels: int | None = None
    all_queries_first: bool = False
    schedule: str = "linear"
    T: int = 1000
    c_noise: str = "step_index"


# By the flags in the README files of openai/improved-diffusion and openai/guided-diffusion.
PUBLISHED = {
    # improved-diffusion: CIFAR-10, ImageNet 64 unconditional and by class, its upsampler 64 -> 256, LSUN bedrooms
    Layout(128, 128, (1, 2, 2, 2), 3, (1, 2), False): Untold(32, 4, None, False, "cosine", 4000, "scaled_index"),
    Layout(128, 128, (1, 2, 3, 4), 3, (2, 3), False): Untold(64, 4, None, False, "cosine", 4000, "scaled_index"),
    Layout(192, 192, (1, 2, 3, 4), 3, (2, 3), False): Untold(64, 4, None, False, "cosine", 4000),
    Layout(192, 192, (1, 1, 2, 2, 4, 4), 2, (4, 5), False): Untold(256, 4, T=4000),
    Layout(128, 128, (1, 1, 2, 2, 4, 4), 2, (4,), False): Untold(256, 1),
    # guided-diffusion: ImageNet 64, 128, 256 (and LSUN) and 512, the upsamplers 64 -> 256 and 128 -> 512
    Layout(192, 192, (1, 2, 3, 4), 3, (1, 2, 3), True): Untold(64, None, 64, True, "cosine"),
    Layout(256, 256, (1, 1, 2, 3, 4), 2, (2, 3, 4), True): Untold(128, 4),
    Layout(256, 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), True): Untold(256, None, 64),
    Layout(128, 256, (1, 2, 2, 4, 4, 8, 8), 2, (4, 5, 6), True): Untold(512, None, 64),
    Layout(192, 192, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), True): Untold(256, 4),
    Layout(192, 192, (1, 1, 2, 2, 4, 4), 2, (4, 5), True): Untold(512, None, 64),
}


def layout(state: Mapping[str, Tensor]) -> Layout:
    """What the names and shapes of weights tell.

    Raises:
        ConfigError: for a name without which nothing can be told.
    """
    try:
        outer = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("output_blocks."))
        last = min((j for j in range(outer) if rises(state, j)), default=outer - 1)  # of the first level on the way up
        starts = range(1, outer, last + 1)  # the input block that each level begins with
        channels = len(state["input_blocks.0.0.weight"])
        widths = [len(state[f"input_blocks.{i}.0.out_layers.3.weight"]) for i in starts]
        return Layout(
            channels,
            state["time_embed.0.weight"].shape[1],
            tuple(width // channels for width in widths),
            last,
            tuple(level for level, i in enumerate(starts) if f"input_blocks.{i}.1.qkv.weight" in state),
            any(f"output_blocks.{last}.{k}.in_layers.0.weight" in state for k in (1, 2)),
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"weights: {error} is missing; allowed are those of a U-Net of improved-diffusion or guided-diffusion"
        ) from error


def rises(state: Mapping[str, Tensor], j: int) -> bool:
    """Whether output block j ends a level, with a convolution or a residual block that doubles the resolution."""
    return any(f"output_blocks.{j}.{k}.{part}.weight" in state for k in (1, 2) for part in ("conv", "in_layers.0"))


def untold(state: Mapping[str, Tensor]) -> Untold:
    """What no weight tells, of a published network.

    Raises:
        ConfigError: for any other.
    """
    found = layout(state)
    if found not in PUBLISHED:
        raise ConfigError(
            f"weights: none of OpenAI's published networks has {found.channels} channels x {found.multipliers} with "
            f"{found.blocks} blocks and attention on levels {found.attention}; allowed with untold.height and "
            "untold.heads or untold.head_channels"
        )
    return PUBLISHED[found]
