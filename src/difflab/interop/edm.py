"""Weights of EDM's DDPM++ and NCSN++ (Karras et al., 2022) in ours."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.interop.mapping import matched, of_another_class
from difflab.models import SongUNet
from difflab.models.song_blocks import Entry, Resample

PREFIX = "model."  # of the network within its preconditioning
FILTER = ".resample_filter"
BLOCK = {
    "norm0": "norm0",
    "conv0": "conv0",
    "told": "affine",
    "norm1": "norm1",
    "conv1": "conv1",
    "skip": "skip",
    "attention.norm": "norm2",
    "attention.qkv": "qkv",
    "attention.out": "proj",
}
FIRST = re.compile(r"enc\.(\d+)x\1_conv\.weight")


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Whether weights are named as those of EDM's U-Nets of the score SDE family; its ADM networks are not."""
    names = bare(state)
    return "map_layer0.weight" in names and any(map(FIRST.fullmatch, names)) and "out_conv.weight" not in names


def config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The fields of configs/model/ddpmpp.yaml that give the network of these weights, but for what no weight tells.

    That is c_noise (log(sigma)/4 for networks with EDM's preconditioning) and dropout, which is 0 here.
    """
    names = bare(state)
    side, sides = size(names)
    channels = len(names[f"enc.{side}x{side}_conv.weight"])
    blocks = count(names, f"enc.{side}x{side}_block")
    drawn = "map_noise.freqs" in names
    return {
        "_target_": "difflab.models.SongUNet",
        "embedding": {
            "_target_": f"difflab.models.{'Fourier' if drawn else 'Sinusoids'}",
            "channels": names["map_layer0.weight"].shape[1],
            **({"scale": 16.0} if drawn else {}),
        },
        "channels": channels,
        "multipliers": [len(names[f"enc.{s}x{s}_block0.conv0.weight"]) // channels for s in sides],
        "blocks": blocks,
        "attention": [s for s in sides if f"enc.{s}x{s}_block0.qkv.weight" in names],
        "dropout": 0.0,
        "taps": taps(state),
        "entries": any("_aux_residual." in name for name in names),
    }


def told(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What data and conditions the network of these weights is for: `shape`, `outputs`, `classes`, `told_numbers`."""
    names = bare(state)
    side, _ = size(names)
    channels = names[f"enc.{side}x{side}_conv.weight"].shape[1]
    return {
        "shape": (channels, side, side),
        "outputs": len(names[f"dec.{side}x{side}_aux_conv.weight"]) // channels,
        "classes": names["map_label.weight"].shape[1] if "map_label.weight" in names else 0,
        "told_numbers": names["map_augment.weight"].shape[1] if "map_augment.weight" in names else 0,
    }


def weights(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The state dict of `network` with the weights of `state`.

    Raises:
        ConfigError: where the two are not of the same architecture: the weights that are missing, left over or of
            another shape; where their changes of resolution have another filter; for a network of another class than
            `SongUNet`.
    """
    if not isinstance(network, SongUNet):
        raise of_another_class(network, SongUNet)
    names = bare(state)
    side, _ = size(names)
    filters = {tuple(layer.taps) for layer in network.modules() if isinstance(layer, Resample)}
    if filters and filters != {tuple(taps(state))}:
        raise ConfigError(f"model.taps: {list(filters.pop())}; allowed are those of the weights: {taps(state)}")
    return matched(network, names, layers(network, side))


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What there is to learn, with the names of the network itself."""
    return {name.removeprefix(PREFIX): weight for name, weight in state.items() if not name.endswith(FILTER)}


def size(names: Mapping[str, Tensor]) -> tuple[int, list[int]]:
    """The side of the images, and the sides of all levels.

    Raises:
        ConfigError: where no first layer tells it.
    """
    found = [match for match in map(FIRST.fullmatch, names) if match]
    if not found:
        raise ConfigError("weights: not of EDM's DDPM++ or NCSN++; allowed are state dicts with enc.32x32_conv.weight")
    side = int(found[0][1])
    return side, [
        s for s in (side >> level for level in range(side.bit_length())) if count(names, f"enc.{s}x{s}_block")
    ]


def count(names: Mapping[str, Tensor], start: str) -> int:
    """How many blocks have names that start so."""
    return len({name.removeprefix(start).partition(".")[0] for name in names if name.startswith(start)})


def taps(state: Mapping[str, Tensor]) -> list[int]:
    """The filter of every change of resolution, in units of its first tap; [1, 1] for a network without any."""
    found = next((weight for name, weight in state.items() if name.endswith(FILTER)), None)
    return [1, 1] if found is None else (found[0, 0, 0] / found[0, 0, 0, 0]).round().int().tolist()


def layers(network: SongUNet, side: int) -> Iterator[tuple[str, list[str]]]:
    """Each layer of ours with that of theirs."""
    yield "embedding.frequencies", ["map_noise.freqs"]
    yield "classes", ["map_label"]
    yield "augment", ["map_augment"]
    yield "embed0", ["map_layer0"]
    yield "embed1", ["map_layer1"]
    yield "conv_in", [f"enc.{side}x{side}_conv"]
    first, block = side, 0
    for i, layer in enumerate(network.down):
        if isinstance(layer, Entry):
            yield f"down.{i}.conv", [f"enc.{side}x{side}_aux_residual"]
        elif layer.resample:
            side, block = side // 2, 0
            yield from of_block(f"down.{i}", f"enc.{side}x{side}_down")
        else:
            yield from of_block(f"down.{i}", f"enc.{side}x{side}_block{block}")
            block += 1
    for i in range(len(network.middle)):
        yield from of_block(f"middle.{i}", f"dec.{side}x{side}_in{i}")
    block = 0
    for i, layer in enumerate(network.up):
        if layer.resample:
            side, block = 2 * side, 0
            yield from of_block(f"up.{i}", f"dec.{side}x{side}_up")
        else:
            yield from of_block(f"up.{i}", f"dec.{side}x{side}_block{block}")
            block += 1
    yield "norm_out", [f"dec.{first}x{first}_aux_norm"]
    yield "conv_out", [f"dec.{first}x{first}_aux_conv"]


def of_block(ours: str, theirs: str) -> Iterator[tuple[str, list[str]]]:
    """The layers of a residual block and of the attention behind it."""
    for part, source in BLOCK.items():
        yield f"{ours}.{part}", [f"{theirs}.{source}"]
