"""Weights of a diffusers `UNet2DModel` of the DDPM family in our U-Net."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from difflab.interop.mapping import divided, matched, of_another_class, same
from difflab.models import UNet
from difflab.models.unet_blocks import Attention, Residual, Stage

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


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are named as those of a `UNet2DModel`."""
    return {"conv_in.weight", "time_embedding.linear_1.weight", "mid_block.resnets.0.conv1.weight"} <= state.keys()


def unet_weights(state: Mapping[str, Tensor], network: nn.Module, swapped: bool = False) -> dict[str, Tensor]:
    """The state dict of `network` with the weights of `state`, a state dict of `UNet2DModel`.

    Their model has to be one that ours can be, which its config tells (`difflab.interop.unet2d`) and hardly a weight
    does: which sinusoids, how images are padded, the number of heads, the eps of the norms.

    Args:
        state: their weights.
        network: of ours.
        swapped: whether their sines stand where our cosines do.

    Raises:
        ConfigError: where the two are not of the same architecture: the weights that are missing, left over or of
            another shape; for a network of another class than `UNet`.
    """
    if not isinstance(network, UNet):
        raise of_another_class(network, UNet)
    return matched(network, {modern(name): weight for name, weight in state.items()}, layers(network, swapped))


def diffusers_weights(network: UNet) -> dict[str, Tensor]:
    """The state dict of the `UNet2DModel` that computes what `network` does: the way back of `unet_weights`."""
    return divided(network.state_dict(), layers(network))


def halves_swapped(weight: Tensor) -> Tensor:
    """For sinusoids whose halves have changed places."""
    return weight.roll(weight.shape[1] // 2, dims=1)


def modern(name: str) -> str:
    """A name of today's diffusers."""
    parts = name.split(".")
    return ".".join(OLD_NAMES.get(part, part) for part in parts) if "attentions" in parts else name


def layers(network: UNet, swapped: bool = False) -> Iterator[tuple]:
    """Each layer of ours with the layers of theirs that it is made of, one after the other, and its change."""
    yield "time.mlp.0.weight", ["time_embedding.linear_1.weight"], halves_swapped if swapped else same
    yield "time.mlp.0.bias", ["time_embedding.linear_1.bias"]
    yield "time.mlp.2", ["time_embedding.linear_2"]
    yield "classes.table", ["class_embedding"]
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
            continue
        parts = RESIDUAL if isinstance(layer, Residual) else {"conv": "conv"}
        for part, source in parts.items():
            yield f"{ours}.{i}.{part}", [f"{theirs}.{level}.{samplers}.0.{source}"]
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
