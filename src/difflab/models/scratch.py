"""Memory for what only one call needs."""

import threading
from math import prod

import torch
from torch import Tensor


class Scratch(threading.local):
    """Memory that every call uses again: pages that the system hands out anew cost as much as the work on them."""

    def __init__(self) -> None:
        self.held: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Float32 numbers of that shape, whatever the last user of this name has left in them."""
        size, held = prod(shape), self.held.get(name)
        if held is None or held.numel() < size:
            with torch.inference_mode(False):  # or nobody who trains could write to it
                held = self.held[name] = torch.empty(size, device="cpu")
        return held[:size].view(shape)


scratch = Scratch()
