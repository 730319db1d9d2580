"""Weights of OpenAI's improved-diffusion and guided-diffusion in our U-Net, and ours under their names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from difflab.interop.mapping import matched, of_another_class, same
from difflab.interop.openai_layout import Untold, layout, untold
from difflab.models import UNet
from difflab.models.unet import Attention, Residual, Stage

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "skip": "skip_connection",
}


class Change(NamedTuple):
    """Of a weight or a bias of theirs, and back."""

    into: Callable[[Tensor], Tensor] = same
    back: Callable[[Tensor], Tensor] = same


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are named as those of their U-Nets (not of their classifiers)."""
    return {"time_embed.0.weight", "input_blocks.0.0.weight", "output_blocks.0.0.in_layers.0.weight"} <= state.keys()


def config(state: Mapping[str, Tensor], told: Untold | None = None) -> dict[str, Any]:
    """The fields of a `UNet` that these weights fit; without dropout, which no weight tells.

    Args:
        state: their weights.
        told: what no weight tells; None for published networks.

    Raises:
        ConfigError: for weights of another network, or of one that is not published.
    """
    found, told = layout(state), told or untold(state)
    conv, embedded = state["input_blocks.1.0.out_layers.3.weight"], state["input_blocks.1.0.emb_layers.1.weight"]
    resample = {"_target_": "difflab.models.ResidualBlocks"}
    if not found.residual:
        resample = {"_target_": "difflab.models.Convolutions", "symmetric": True}
    return {
        "_target_": "difflab.models.UNet",
        "channels": found.channels,
        "multipliers": list(found.multipliers),
        "blocks": found.blocks,
        "attention": [told.height >> level for level in found.attention],
        "heads": told.heads,
        "head_channels": told.head_channels,
        "dropout": 0.0,
        "groups": 32,
        "norm_eps": 1e-5,
        "scale_shift": len(embedded) == 2 * len(conv),
        "resample": resample,
        "sinusoids": {"_target_": "difflab.models.CosinesFirst"},
        "time_channels": found.time_channels,
        "xavier": False,
        "self_condition": False,
        "checkpointing": False,
    }


def offers(state: Mapping[str, Tensor], told: Untold | None = None) -> dict[str, Any]:
    """What the data, the variance and the condition offer to the network, by its weights.

    Their code knows images of three channels only; six are an image and the one that it is the enlargement of.
    """
    told = told or untold(state)
    c_in, c_out = state["input_blocks.0.0.weight"].shape[1], len(state["out.2.weight"])
    channels = 3 if c_in == 6 else c_in
    return {
        "shape": (channels, told.height, told.height),
        "outputs": c_out // channels,
        "classes": len(state["label_emb.weight"]) if "label_emb.weight" in state else 0,
        "told_channels": c_in - channels,
    }


def weights(state: Mapping[str, Tensor], network: nn.Module, told: Untold | None = None) -> dict[str, Tensor]:
    """The state dict of `network` with the weights of `state`.

    Args:
        state: their weights.
        network: of the fields that `config` gives.
        told: as for `config`.

    Raises:
        ConfigError: where the two are not of the same architecture: the weights that are missing, left over or of
            another shape; for a network of another class than `UNet`.
    """
    if not isinstance(network, UNet):
        raise of_another_class(network, UNet)
    order = (told or untold(state)).all_queries_first
    sources = [(ours, [theirs], change.into) for ours, theirs, change in layers(network, order)]
    return matched(network, state, sources)


def openai_weights(network: UNet, told: Untold) -> dict[str, Tensor]:
    """The state dict of their network that computes what `network` does: the way back of `weights`."""
    own = network.state_dict()
    return {
        f"{theirs}.{kind}": change.back(own[f"{ours}.{kind}"].detach().cpu()).contiguous()
        for ours, theirs, change in layers(network, told.all_queries_first)
        for kind in ("weight", "bias")
        if f"{ours}.{kind}" in own
    }


def layers(network: UNet, all_queries_first: bool) -> Iterator[tuple[str, str, Change]]:
    """Each layer of ours with its name among theirs, and how its weights change on the way."""
    yield "time.mlp.0", "time_embed.0", Change()
    yield "time.mlp.2", "time_embed.2", Change()
    yield "classes.table", "label_emb", Change()
    yield "conv_in", "input_blocks.0.0", Change()
    for i, layer in enumerate(network.down):
        yield from of(f"down.{i}", layer, f"input_blocks.{i + 1}", 0, all_queries_first)
    for i, layer in enumerate(network.middle):
        yield from of(f"middle.{i}", layer, "middle_block", 2 * i, all_queries_first)
    block, place = -1, 0
    for i, layer in enumerate(network.up):  # what doubles the resolution stands in the block before it
        block, place = (block + 1, 0) if isinstance(layer, Stage) else (block, place)
        yield from of(f"up.{i}", layer, f"output_blocks.{block}", place, all_queries_first)
        place = 1 if isinstance(layer, Stage) and layer.attention is None else 2
    yield "norm_out", "out.0", Change()
    yield "conv_out", "out.2", Change()


def of(
    ours: str, layer: nn.Module, theirs: str, place: int, all_queries_first: bool
) -> Iterator[tuple[str, str, Change]]:
    """The layers within one of ours, which stands in a block of theirs at this place."""
    if isinstance(layer, Stage):
        for name, part in layer.named_children():
            yield from of(f"{ours}.{name}", part, theirs, place + (name == "attention"), all_queries_first)
    elif isinstance(layer, Residual):
        for name, source in RESIDUAL.items():
            yield f"{ours}.{name}", f"{theirs}.{place}.{source}", Change()
    elif isinstance(layer, Attention):
        yield f"{ours}.norm", f"{theirs}.{place}.norm", Change()
        yield f"{ours}.qkv", f"{theirs}.{place}.qkv", pointwise(1 if all_queries_first else layer.heads)
        yield f"{ours}.out", f"{theirs}.{place}.proj_out", pointwise(1)
    else:
        yield f"{ours}.conv", f"{theirs}.{place}.{'op' if ours.startswith('down') else 'conv'}", Change()


def pointwise(heads: int) -> Change:
    """Of a convolution along rows of pixels to a linear layer, and of qkv by head to that of all heads."""

    def into(weight: Tensor) -> Tensor:
        flat = weight.squeeze(-1) if weight.dim() == 3 else weight
        fits = heads > 1 and len(flat) % (3 * heads) == 0  # what does not fit is refused by its shape
        return flat.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2) if fits else flat

    def back(weight: Tensor) -> Tensor:
        if heads > 1:
            weight = weight.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)
        return weight.unsqueeze(-1) if weight.dim() == 2 else weight

    return Change(into, back)
