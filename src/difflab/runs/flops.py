"""What a network costs, counted on the meta device: its weights have shapes and no numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


class Counted(NamedTuple):
    """Of one network.

    Attributes:
        parameters: numbers that are trained.
        flops: of one forward pass of one image: two for each multiplication with its addition, in convolutions,
            matrix products and attention. All else is left out.
        kept: bytes that a forward pass of one image keeps for the backward pass, beside weights, in float32.
    """

    parameters: int
    flops: int
    kept: int


def count(network: nn.Module, shape: Sequence[int]) -> Counted:
    """What a network on the meta device costs for images of this shape, told the time alone."""
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    alive: dict[int, Tensor] = {}  # by storage: a tensor and views of it are kept once

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            alive[tensor.untyped_storage()._cdata] = tensor
        return tensor

    x, c_noise = torch.empty(1, *shape, device="meta"), torch.empty(1, device="meta")
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        network(x, c_noise)
    return Counted(
        sum(p.numel() for p in network.parameters() if p.requires_grad),
        counter.get_total_flops(),
        sum(tensor.untyped_storage().nbytes() for tensor in alive.values()),
    )
