"""Weights of a diffusers `UNet2DModel` of the DDPM family in our U-Net."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.models import UNet
from difflab.models.unet import Attention, Residual, Stage

RESIDUAL = {
    "norm1": "norm1",
    "conv1": "conv1",
    "time": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "skip": "conv_shortcut",
}
QKV = ("to_q", "to_k", "to_v")
# What weights published before diffusers 0.16 call the layers of an attention block.
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def unet_weights(state: Mapping[str, Tensor], network: UNet) -> dict[str, Tensor]:
    """The state dict of `network` with the weights of `state`, a state dict of `UNet2DModel`.

    Their model has to be of the family of DDPM (as `google/ddpm-cifar10-32`): blocks of the kinds DownBlock2D,
    AttnDownBlock2D, UpBlock2D and AttnUpBlock2D, attention in the middle, and, which no weight tells,
    `flip_sin_to_cos=False`, `freq_shift=1`, `downsample_padding=0`, `norm_eps=1e-6`; `attention_head_dim` as many
    channels as ours has in a head (None: one head).

    Raises:
        ConfigError: where the two are not of the same architecture: every weight that is missing, left over or of
            another shape.
    """
    theirs = {modern(name): weight for name, weight in state.items()}
    own = network.state_dict()
    sources = {
        f"{ours}.{kind}": [f"{layer}.{kind}" for layer in made_of]
        for ours, made_of in layers(network)
        for kind in ("weight", "bias")
    }
    found = {
        name: torch.cat([theirs[source] for source in sources[name]])
        for name in own
        if name in sources and all(source in theirs for source in sources[name])
    }
    missing = [name for name in own if name not in found]
    left_over = sorted(theirs.keys() - {source for name in own for source in sources.get(name, [])})
    shapes = [
        f"{name} {tuple(weight.shape)} instead of {tuple(own[name].shape)}"
        for name, weight in found.items()
        if weight.shape != own[name].shape
    ]
    complaints = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("left over", left_over), ("of another shape", shapes))
        if names
    ]
    if complaints:
        raise ConfigError(f"weights: {'; '.join(complaints)}; allowed are those of the same architecture")
    return found


def modern(name: str) -> str:
    """A name of today's diffusers."""
    parts = name.split(".")
    return ".".join(OLD_NAMES.get(part, part) for part in parts) if "attentions" in parts else name


def layers(network: UNet) -> Iterator[tuple[str, list[str]]]:
    """Each layer of ours with the layers of theirs that it is made of, one after the other."""
    yield "time.mlp.0", ["time_embedding.linear_1"]
    yield "time.mlp.2", ["time_embedding.linear_2"]
    yield "conv_in", ["conv_in"]
    yield from levels("down", network.down, "down_blocks", "downsamplers")
    for i, stage in enumerate(network.middle):
        yield from of_stage(f"middle.{i}", stage, "mid_block", i)
    yield from levels("up", network.up, "up_blocks", "upsamplers")
    yield "norm_out", ["conv_norm_out"]
    yield "conv_out", ["conv_out"]


def levels(ours: str, path: nn.ModuleList, theirs: str, samplers: str) -> Iterator[tuple[str, list[str]]]:
    """The layers of one way through the network: a change of resolution ends a level."""
    level = block = 0
    for i, layer in enumerate(path):
        if isinstance(layer, Stage):
            yield from of_stage(f"{ours}.{i}", layer, f"{theirs}.{level}", block)
            block += 1
        else:
            yield f"{ours}.{i}.conv", [f"{theirs}.{level}.{samplers}.0.conv"]
            level, block = level + 1, 0


def of_stage(ours: str, stage: nn.Module, theirs: str, block: int) -> Iterator[tuple[str, list[str]]]:
    """The layers of a residual block and of the attention behind it."""
    for name, layer in stage.named_children():
        if isinstance(layer, Residual):
            for part, source in RESIDUAL.items():
                yield f"{ours}.{name}.{part}", [f"{theirs}.resnets.{block}.{source}"]
        elif isinstance(layer, Attention):
            attention = f"{theirs}.attentions.{block}"
            yield f"{ours}.{name}.norm", [f"{attention}.group_norm"]
            yield f"{ours}.{name}.qkv", [f"{attention}.{part}" for part in QKV]
            yield f"{ours}.{name}.out", [f"{attention}.to_out.0"]
