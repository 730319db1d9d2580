"""Activation checkpointing: what lies inside a layer is computed again for the backward pass (Chen et al., 2016)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def lean(layer: Callable[..., Tensor], *inputs: Tensor, checkpointing: bool) -> Tensor:
    """layer(*inputs); with `checkpointing` only the inputs are kept for the backward pass."""
    if checkpointing and torch.is_grad_enabled():
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)
