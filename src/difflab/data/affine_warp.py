"""Affine changes of images without aliasing: on twice as fine a grid, which wavelets lead to and back."""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Low-pass filter of the symlet of order 6 (Daubechies, 1992, section 8.1): orthonormal, six vanishing moments.
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
EDGE = len(SYM6) // 4  # pixels beyond each side of the result that the way back looks at


def taps(fine: int, coarse: int, shift: int) -> Float[Tensor, "fine coarse"]:
    """The filter at every second of the fine points: entry (m, i) is its value number m - 2 i + shift."""
    lag = torch.arange(fine)[:, None] - 2 * torch.arange(coarse) + shift
    inside = (lag >= 0) & (lag < len(SYM6))
    return torch.where(inside, torch.tensor(SYM6, dtype=torch.float64)[lag.clamp(0, len(SYM6) - 1)], 0.0)


@cache
def finer(size: int) -> Float[Tensor, "fine size"]:
    """From `size` pixels, continued on both sides by their reflection, to twice as many points."""
    around = torch.arange(1 - size, 2 * size - 1).abs()
    reflected = size - 1 - (size - 1 - around).abs()
    whole = taps(2 * len(around), len(around), len(SYM6) // 2 - 1)
    return torch.zeros(len(whole), size, dtype=torch.float64).index_add_(1, reflected, whole)


@cache
def coarser(size: int) -> Float[Tensor, "size fine"]:
    """From twice as many points as there are in `size` pixels and an edge on both sides back to the pixels."""
    return taps(2 * (size + 2 * EDGE), size, -1).T.contiguous()


def between(left: Tensor, images: Float[Tensor, "n h w"], right: Tensor) -> Float[Tensor, "n a b"]:
    """left image right^T for each image, each by itself, so that no image depends on how many there are."""
    left, right = left.to(images), right.to(images)
    wide = torch.bmm(images, right.T.expand(len(images), -1, -1))
    return torch.bmm(left.expand(len(images), -1, -1), wide)


def warped(
    images: Float[Tensor, "n c h w"], matrix: Float[Tensor, "n 2 2"], shift: Float[Tensor, "n 2"]
) -> Float[Tensor, "n c h w"]:
    """Images whose point p shows what was at `matrix (p - shift)`.

    As in Karras et al. (2020), appendix B: to twice the resolution by a wavelet's synthesis filter, bilinear there,
    and back by its analysis filter. Beyond its sides an image goes on as its reflection, once; then it is 0.

    Args:
        images: to change.
        matrix, shift: for (x, y) from the centre of the image in pixels, x to the right and y down.
    """
    n, c, height, width = images.shape
    fine = between(finer(height), images.flatten(0, 1), finer(width)).unflatten(0, (n, c))
    x, y = (torch.arange(1, 2 * (side + 2 * EDGE) + 1) / 2 - side / 2 - EDGE for side in (width, height))
    x, y = x.to(images) - shift[:, :1].to(images), y.to(images) - shift[:, 1:].to(images)  # [n, points]
    m = matrix.to(images)[:, :, :, None, None]
    across = m[:, 0, 0] * x[:, None, :] + m[:, 0, 1] * y[:, :, None]
    down = m[:, 1, 0] * x[:, None, :] + m[:, 1, 1] * y[:, :, None]
    sides = images.new_tensor([fine.shape[3], fine.shape[2]])
    grid = (4 * torch.stack([across, down], dim=-1) - 1) / sides  # the fine point nearest p is at 2 p - 1/2
    seen = functional.grid_sample(fine, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return between(coarser(height), seen.flatten(0, 1), coarser(width)).unflatten(0, (n, c))
