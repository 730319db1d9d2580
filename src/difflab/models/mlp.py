"""A residual multi-layer perceptron: for small images and points."""

from collections.abc import Callable, Sequence
from math import prod

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.condition import Condition
from difflab.models.class_embedding import ClassEmbedding
from difflab.models.dropout import Dropout
from difflab.models.time_embedding import TimeEmbedding


class Block(nn.Module):
    """x + W2 silu(W1 norm(x) + time)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(width), nn.Linear(width, width)
        self.time, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x + self.outer(self.dropout(functional.silu(self.inner(self.norm(x)) + self.time(time))))


class MLP(nn.Module):
    """network(x, c_noise) -> an output of the shape of x (times `outputs`), from all its numbers at once.

    Args:
        shape: of one example.
        c_noise: what the network is told about time.
        width: of the layers, even.
        blocks: residual blocks.
        dropout: in the blocks.
        outputs: for each number of x: 2 with a learned variance, which come after the others along the first axis.
        classes: that the network can be told; 0 for none.

    Raises:
        ValueError: for an odd width.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        width: int,
        blocks: int,
        dropout: float,
        outputs: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"model.width: {width}; allowed are even numbers")
        self.c_noise = c_noise
        self.time = TimeEmbedding(width, width)
        self.classes = ClassEmbedding(classes, width) if classes else None
        self.enter, self.leave = nn.Linear(prod(shape), width), nn.Linear(width, outputs * prod(shape))
        self.blocks = nn.ModuleList([Block(width, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, x: Float[Tensor, "batch *shape"], c_noise: Float[Tensor, " batch"], condition: Condition | None = None
    ) -> Tensor:
        told = condition or Condition()
        time = self.time(c_noise)
        if self.classes is not None and told.classes is not None:
            time = time + self.classes(told.classes)
        time = functional.silu(time)
        h = self.enter(x.flatten(1))
        for block in self.blocks:
            h = block(h, time)
        return self.leave(self.norm(h)).view(len(x), -1, *x.shape[2:])
