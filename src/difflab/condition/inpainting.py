"""condition=inpainting: the network is told some of the pixels and completes the rest."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.condition.condition import Condition
from difflab.condition.conditioning import Conditioning


class Inpainting(Conditioning):
    """The known pixels, and a channel that is 1 where a pixel is known (Saharia et al., 2022, Palette, section 3.1).

    In training each image has a mask of its own: a rectangle, a half or single pixels are unknown. An image of which
    nothing is told is one without a known pixel.

    Args:
        drop: as for every conditioning.
        rectangles, halves, pixels: how often each kind of mask is drawn, in relation to the others.
        least, most: sides of a rectangle as shares of those of the image, and the share of single pixels.

    Raises:
        ValueError: for shares that cannot be.
    """

    def __init__(self, drop: float, rectangles: float, halves: float, pixels: float, least: float, most: float) -> None:
        super().__init__(drop)
        kinds = {"rectangles": rectangles, "halves": halves, "pixels": pixels}
        for name, value in kinds.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"condition.{name}: {value}; allowed are numbers from 0")
        if not sum(kinds.values()) > 0:
            raise ValueError("condition.rectangles: 0, as halves and pixels; allowed are numbers of which one is not 0")
        if not 0 < least <= most <= 1:
            raise ValueError(f"condition.least: {least}; allowed are numbers above 0, at most {most}, condition.most")
        self.kinds = torch.tensor(list(kinds.values()), dtype=torch.float64)
        self.least, self.most = least, most

    def channels(self, shape: tuple[int, ...]) -> int:
        """Those of the image, and that of the mask."""
        return shape[0] + 1

    def told(self, x0: Float[Tensor, "batch c h w"], known: Float[Tensor, "batch 1 h w"]) -> Condition:
        """Of these images the pixels where `known` is 1; elsewhere it is 0, and x0 is not looked at."""
        return Condition(image=torch.cat([torch.where(known > 0, x0, 0), known.expand(len(x0), -1, -1, -1)], 1))

    def of(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        """What is told of images under masks that are a function of the uniform numbers."""
        height, width = x0.shape[-2:]
        return self.told(x0, self.known(uniform, height, width).to(x0))

    def known(self, uniform: Float[Tensor, "batch 8"], height: int, width: int) -> Float[Tensor, "batch 1 h w"]:
        """Masks of known pixels, one for each row of numbers."""
        u = uniform.double()
        share = self.least + (self.most - self.least) * u[:, 1:3]
        edges = (self.kinds / self.kinds.sum()).cumsum(0)[:-1].contiguous()
        kind = torch.searchsorted(edges, u[:, 0].contiguous(), right=True)
        holes = torch.stack(
            [
                rectangles(share, u[:, 3:5], height, width),
                halves(u[:, 5], height, width),
                pixels(share[:, 0], u[:, 6], height, width),
            ]
        )
        return (~holes[kind, torch.arange(len(u))]).float()[:, None]


def rectangles(share: Tensor, place: Tensor, height: int, width: int) -> Tensor:
    """True within a rectangle of these shares of the sides (rows, columns), anywhere that it fits."""
    sides = torch.tensor([height, width], dtype=torch.float64)
    lengths = (share * sides).round().clamp(min=1)
    starts = (place * (sides - lengths + 1)).floor()
    down, across = torch.arange(height), torch.arange(width)
    rows = (down >= starts[:, :1]) & (down < (starts + lengths)[:, :1])
    columns = (across >= starts[:, 1:]) & (across < (starts + lengths)[:, 1:])
    return rows[:, :, None] & columns[:, None, :]


def halves(which: Tensor, height: int, width: int) -> Tensor:
    """True in the left, right, upper or lower half, each for a quarter of [0, 1)."""
    left = (torch.arange(width) < width // 2).expand(height, -1)
    upper = (torch.arange(height) < height // 2)[:, None].expand(-1, width)
    return torch.stack([left, ~left, upper, ~upper])[(4 * which).long()]


def pixels(share: Tensor, seed: Tensor, height: int, width: int) -> Tensor:
    """True at a share of the pixels, whichever a generator chooses that is seeded by a number in [0, 1)."""
    chosen = []
    for number in (seed * 2**53).long().tolist():
        chosen.append(torch.rand(height, width, generator=torch.Generator().manual_seed(number), dtype=torch.float64))
    return torch.stack(chosen) < share[:, None, None] if chosen else torch.zeros(0, height, width, dtype=torch.bool)
