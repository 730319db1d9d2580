"""Blocks of the diffusion transformer (Peebles & Xie, 2023, section 3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.attention import attend
from difflab.models.sinusoids import CosinesFirst
from difflab.models.time_embedding import TimeEmbedding


def waves(at: Float[Tensor, " n"], number: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines of numbers at the frequencies 10000^(-i/number), each [n, number]."""
    steps = torch.arange(number, device=at.device, dtype=at.dtype)
    angle = at[:, None] * 10000.0 ** (-steps / number)
    return angle.sin(), angle.cos()


def positions(rows: int, columns: int, width: int) -> Float[Tensor, "patches width"]:
    """Fixed embeddings of the patches of a grid, row by row: half of each tells the column, half the row."""
    row, column = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64), indexing="ij"
    )
    parts = [*waves(column.flatten(), width // 4), *waves(row.flatten(), width // 4)]
    return torch.cat(parts, dim=1).float()


def normalised(x: Float[Tensor, "batch patches width"], shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm, scaled and shifted by what the network is told."""
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def zero(layer: nn.Linear) -> nn.Linear:
    """The layer at zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def drawn(layer: nn.Linear, std: float | None = None) -> nn.Linear:
    """The layer with weights from Xavier's uniform law, or of this standard deviation, and no bias to begin with."""
    nn.init.xavier_uniform_(layer.weight) if std is None else nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


def time_embedding(width: int) -> TimeEmbedding:
    """Of the time: cosines and sines, two linear layers, their weights small to begin with."""
    made = TimeEmbedding(256, width, CosinesFirst())
    for layer in (made.mlp[0], made.mlp[2]):
        assert isinstance(layer, nn.Linear)
        drawn(layer, std=0.02)
    return made


class Classes(nn.Module):
    """A learned vector for each class, and one more where the class is not told."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes + 1, width)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, classes: Tensor) -> Tensor:
        untold = self.table.num_embeddings - 1
        return self.table(torch.where(classes < 0, untold, classes))


class Block(nn.Module):
    """adaLN-zero: attention and MLP, each behind a norm and before a gate that what is told sets; gates start at 0."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = drawn(nn.Linear(width, 3 * width)), drawn(nn.Linear(width, width))
        self.inner, self.outer = drawn(nn.Linear(width, 4 * width)), drawn(nn.Linear(4 * width, width))
        self.modulation = zero(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(told).chunk(6, dim=1)
        x = x + gate1[:, None] * self.attention(normalised(x, shift1, scale1))
        inner = functional.gelu(self.inner(normalised(x, shift2, scale2)), approximate="tanh")
        return x + gate2[:, None] * self.outer(inner)

    def attention(self, x: Tensor) -> Tensor:
        """Self-attention over the patches."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(attend(q, k, v).transpose(1, 2).flatten(2))
