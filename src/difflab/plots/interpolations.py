"""Strips of images along the way from one code to another."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad
from torchvision.utils import make_grid

from difflab.plots.save import save

GAP = 1  # pixels between images


class Strips(NamedTuple):
    """8-bit pictures, a row for each pair of codes.

    Attributes:
        drawn: between codes drawn from the prior.
        found: between codes of test images.
        ends: those test images, two for each row of `found`.
    """

    drawn: UInt8[Tensor, "rows between c h w"]
    found: UInt8[Tensor, "rows between c h w"]
    ends: UInt8[Tensor, "rows 2 c h w"]


def interpolations(strips: Strips, path: Path) -> None:
    """Two panels, one above the other; beside the lower one's rows the images whose codes are at the ends.

    Args:
        strips: of an odd number of images, at least three.
        path: of the PNG.
    """
    rows, between = strips.drawn.shape[:2]
    side = 0.58  # inches of an image
    figure = Figure(figsize=(side * (between + 3) + 0.2, side * 2 * rows + 1.2), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    titles = ("slerp between two codes drawn from the prior", "slerp between the codes of two test images")
    for axes, pictures, title in ((upper, strips.drawn, titles[0]), (lower, strips.found, titles[1])):
        beside = (strips.ends[:, :1], strips.ends[:, 1:]) if pictures is strips.found else (None, None)
        axes.imshow(canvas(pictures, *beside).numpy(), interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.spines[:].set_visible(False)
        axes.set_xticks([])
        axes.set_yticks([])
    width = strips.drawn.shape[-1]
    first = 2 * GAP + width + width // 2 + GAP  # where the strips begin
    middle = {"code a": 0, "halfway": between // 2, "code b": between - 1}
    places = {name: first + GAP + i * (width + GAP) + (width - 1) / 2 for name, i in middle.items()}
    last = first + between * (width + GAP) + GAP + width // 2 + GAP
    places |= {f"image {name}": start + GAP + (width - 1) / 2 for name, start in (("a", 0), ("b", last))}
    lower.set_xticks(list(places.values()), list(places), fontsize=9)
    lower.tick_params(length=0)
    save(figure, path, 150)


def canvas(
    pictures: UInt8[Tensor, "rows between c h w"], before: Tensor | None, after: Tensor | None
) -> UInt8[Tensor, "height width 3"]:
    """Rows of pictures on white, with room for one more, set apart by half its width, on either side."""
    body, empty = joined(pictures), torch.full_like(joined(pictures[:, :1]), 255)
    half = empty[:, : pictures.shape[-1] // 2 + GAP]
    sides = [empty if side is None else joined(side) for side in (before, after)]
    return torch.cat([sides[0], half, body, half, sides[1]], 1)


def joined(pictures: UInt8[Tensor, "rows columns c h w"]) -> UInt8[Tensor, "height width 3"]:
    """Pictures side by side in rows."""
    grid = make_grid(pictures.flatten(0, 1), pictures.shape[1], padding=GAP, pad_value=255)
    if pictures.shape[:2].numel() == 1:  # which make_grid leaves without a margin
        grid = pad(grid, (GAP, GAP, GAP, GAP), value=255)
    return grid.permute(1, 2, 0)
