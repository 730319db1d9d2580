"""DiT: a transformer over patches in the place of a U-Net (Peebles & Xie, 2023)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from difflab.condition import UNKNOWN, Condition
from difflab.models.checkpointing import lean
from difflab.models.dit_blocks import Block, Classes, drawn, normalised, positions, time_embedding, zero


class DiT(nn.Module):
    """network(x, c_noise, condition) -> an output of the shape of x, or of `outputs` times its channels.

    Args:
        shape: (channels, height, width) of the images, or of their codes.
        c_noise: what the network is told about time.
        patch: side of the squares that are cut from the image, one token each.
        width: of a token.
        blocks: how many, each attention and an MLP of 4 times the width.
        heads: attention heads.
        checkpointing: keep only what lies between blocks for the backward pass, and compute the rest again.
        outputs: for each channel of the image: 2 with a learned variance.
        classes: how many the network can be told; 0 for none. A class that is not told has a vector of its own.

    Raises:
        ValueError: for points, and for a patch, a width or heads that do not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        c_noise: Callable[..., Tensor],
        patch: int,
        width: int,
        blocks: int,
        heads: int,
        checkpointing: bool,
        outputs: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"model: a DiT of data of shape {tuple(shape)}; allowed for points is model=mlp")
        c_image, height, side = shape
        if height % patch or side % patch:
            raise ValueError(f"model.patch: {patch}; allowed are divisors of the image's sides, {height} and {side}")
        if width % 4 or width % heads:
            raise ValueError(f"model.width: {width}; allowed are multiples of 4 and of model.heads = {heads}")
        self.c_noise, self.patch, self.checkpointing = c_noise, patch, checkpointing
        self.grid = (height // patch, side // patch)
        self.enter = drawn(nn.Linear(c_image * patch**2, width))
        self.register_buffer("positions", positions(*self.grid, width), persistent=False)
        self.time = time_embedding(width)
        self.classes = Classes(classes, width) if classes else None
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.modulation = zero(nn.Linear(width, 2 * width))
        self.leave = zero(nn.Linear(width, outputs * c_image * patch**2))

    def forward(
        self, x: Float[Tensor, "batch c h w"], c_noise: Float[Tensor, " batch"], condition: Condition | None = None
    ) -> Tensor:
        told = self.time(c_noise)
        if self.classes is not None:
            classes = None if condition is None else condition.classes
            untold = torch.full((len(x),), UNKNOWN, device=x.device)
            told = told + self.classes(untold if classes is None else classes)
        told = functional.silu(told)
        h = self.enter(self.patches(x)) + self.positions
        for block in self.blocks:
            h = lean(block, h, told, checkpointing=self.checkpointing)
        return self.image(self.leave(normalised(h, *self.modulation(told).chunk(2, dim=1))))

    def patches(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch patches numbers"]:
        """The image as patches, row by row; in each the channels, then rows, then columns."""
        return functional.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def image(self, patches: Float[Tensor, "batch patches numbers"]) -> Float[Tensor, "batch c h w"]:
        """Patches put together again; in each the rows, then columns, then channels."""
        p, (rows, columns) = self.patch, self.grid
        n, _, numbers = patches.shape
        cut = patches.reshape(n, rows, columns, p, p, numbers // p**2)
        return cut.permute(0, 5, 1, 3, 2, 4).reshape(n, numbers // p**2, rows * p, columns * p)
