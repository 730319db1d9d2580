"""Weights under one library's names as weights under another's, whole or refused."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from difflab.errors import ConfigError

SHOWN = 12  # names of each kind in a message


def same(weight: Tensor) -> Tensor:
    """No change."""
    return weight


class Source(NamedTuple):
    """Where weights of ours come from; a plain tuple of these two or three does as well.

    Attributes:
        ours: name of a weight, or of a layer: then of its weight and its bias, as far as it has them. Layers that the
            network does not have are passed over.
        theirs: names of the same kind (weights, or layers) whose weights stand one after the other, along the first
            axis, in ours.
        change: of what has been put together; for a layer of its weight and of its bias.
    """

    ours: str
    theirs: Sequence[str]
    change: Callable[[Tensor], Tensor] = same


def each_weight(own: Collection[str], sources: Iterable[tuple]) -> dict[str, Source]:
    """The source of each weight among `own`, layers taken apart."""
    found: dict[str, Source] = {}
    for ours, theirs, *change in sources:
        if ours in own:
            found[ours] = Source(ours, theirs, *change)
            continue
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in own:
                found[f"{ours}.{kind}"] = Source(f"{ours}.{kind}", [f"{name}.{kind}" for name in theirs], *change)
    return found


def matched(
    network: nn.Module, state: Mapping[str, Tensor], sources: Iterable[tuple], without: Collection[str] = ()
) -> dict[str, Tensor]:
    """The state dict of `network` with somebody else's weights, each of theirs used, each of ours found.

    Args:
        network: of ours; nothing of it is changed, and it may be on the meta device.
        state: their weights by their names.
        sources: for each weight or layer of ours where it comes from: `Source`, or a tuple of the same.
        without: names of theirs that hold nothing to learn (constant buffers), and are not missed.

    Returns:
        Tensors of their own, of the dtypes of the network's.

    Raises:
        ConfigError: where the two are not of the same architecture: the weights that are missing, left over or of
            another shape.
    """
    own = network.state_dict()
    known = each_weight(own.keys(), sources)
    found = {
        name: source.change(torch.cat([state[part] for part in source.theirs])).to(own[name].dtype)
        for name, source in known.items()
        if all(part in state for part in source.theirs)
    }
    asked = {part for source in known.values() for part in source.theirs}
    complaints = {
        "missing": [name if name not in known else lacking(known[name], state) for name in own if name not in found],
        "left over": sorted(state.keys() - asked - set(without)),
        "of another shape": [
            f"{name} {tuple(weight.shape)} instead of {tuple(own[name].shape)}"
            for name, weight in found.items()
            if weight.shape != own[name].shape
        ],
    }
    told = [f"{what}: {shown(names)}" for what, names in complaints.items() if names]
    if told:
        raise ConfigError(f"weights: {'; '.join(told)}; allowed are those of the same architecture")
    return {name: found[name] for name in own}


def of_another_class(network: nn.Module, allowed: type[nn.Module]) -> ConfigError:
    """The refusal of weights for a network of ours that they cannot be for."""
    name = type(network).__name__
    return ConfigError(f"model: {name}; allowed with these weights are networks of the class {allowed.__name__}")


def shown(names: Sequence[str]) -> str:
    """The first names of a list, and how many there are beside them."""
    more = len(names) - SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:SHOWN])} and {more} more"


def lacking(source: Source, state: Mapping[str, Tensor]) -> str:
    """A weight of ours with what would make it and is not there."""
    return f"{source.ours} ({', '.join(part for part in source.theirs if part not in state)})"


def divided(own: Mapping[str, Tensor], sources: Iterable[tuple]) -> dict[str, Tensor]:
    """The way back: weights of ours under their names, those that are one in ours taken apart in equal parts.

    Args:
        own: our weights; each must be known to `sources`.
        sources: as for `matched`, without changes.
    """
    known = each_weight(own.keys(), sources)
    return {
        theirs: part.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, weight in own.items()
        for theirs, part in zip(known[name].theirs, weight.chunk(len(known[name].theirs)), strict=True)
    }
