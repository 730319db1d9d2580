"""What a network is told of the class of an example, as a part of its time embedding."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from difflab.condition import UNKNOWN


class ClassEmbedding(nn.Module):
    """A learned vector for each class, zero where the class is not told (Dhariwal & Nichol, 2021, section 3).

    Args:
        classes: how many.
        width: of the embedding that it is added to.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes, width)

    def forward(self, classes: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        known = (classes != UNKNOWN)[:, None]
        return torch.where(known, self.table(classes.clamp(min=0)), 0.0)
