"""EDM's augmentation: flips, zoom, rotation, stretching and shifts, told to the network (Karras et al., 2022)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.data.affine_warp import warped
from difflab.errors import ConfigError

ZOOM = 0.2  # standard deviation of log2 of the zoom
STRETCH = 0.2  # standard deviation of log2 of the stretch along an axis; the other axis shrinks by as much
TURNED = 0.5  # share of the stretches along an axis that is not one of the image's
SHIFT = 0.125  # standard deviation of the shift, in units of the image's sides


def normal(uniform: Tensor) -> Tensor:
    """Normal numbers from uniform ones in [0, 1)."""
    return torch.special.ndtri(uniform.clamp(min=2**-54))


def angle(uniform: Tensor) -> Tensor:
    """Angles from -pi to pi."""
    return math.pi * (2 * uniform - 1)


def rotation(by: Float[Tensor, " n"]) -> Float[Tensor, "n 2 2"]:
    """Turns by angles."""
    cos, sin = by.cos(), by.sin()
    return torch.stack([cos, -sin, sin, cos], dim=1).unflatten(1, (2, 2))


class EDMAugmentation:
    """Every change with the same probability, independently, and nine numbers that tell them all.

    Karras et al. (2022), appendix F.2 and Table 6: the geometric part of the augmentations of StyleGAN2-ADA (Karras et
    al., 2020, appendix B). In their order: mirrored (0, 1: a fair coin whatever the probability), upside down (0, 1: a
    coin as well where it happens), zoom (standard normal, 0.2 of log2), rotation (cos - 1, sin), stretch (a standard
    normal number, 0.2 of log2, times cos and sin of its axis), shift (two standard normal numbers, 0.125 of a side).
    Of a stretch with a turned axis the numbers leave open whether it makes longer or shorter along it, as published.
    With every image mirrored by a coin, `data.flip` is to be off.

    Args:
        probability: of each change but the mirroring.

    Raises:
        ConfigError: for no probability.
    """

    numbers, told = 14, 9

    def __init__(self, probability: float) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"augmentation.probability: {probability}; allowed are numbers from 0 to 1")
        self.probability = probability

    def __call__(
        self, x0: Float[Tensor, "batch c h w"], uniform: Float[Tensor, "batch 14"]
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, "batch 9"]]:
        """The images, and what is told of them; those that are at most flipped keep all their bits."""
        u = uniform.unbind(1)

        def gated(value: Tensor, chance: Tensor) -> Tensor:
            return torch.where(chance < self.probability, value, 0.0)

        mirrored, overturned = (u[0] < 0.5).double(), gated((u[1] < 0.5).double(), u[2])
        zoom, turn, stretch = gated(normal(u[3]), u[4]), gated(angle(u[5]), u[6]), gated(normal(u[7]), u[8])
        axis = torch.where(u[10] < TURNED, angle(u[9]), 0.0)
        shift = torch.stack([gated(normal(u[11]), u[13]), gated(normal(u[12]), u[13])], dim=1)
        lie = [stretch * axis.cos(), stretch * axis.sin()]
        told = torch.stack([mirrored, overturned, zoom, turn.cos() - 1, turn.sin(), *lie, *shift.unbind(1)], dim=1)

        for dimension, flipped in ((3, mirrored), (2, overturned)):
            x0 = torch.where(flipped.bool().to(x0.device)[:, None, None, None], x0.flip(dimension), x0)
        changed = told[:, 2:].any(1).nonzero()[:, 0]
        if len(changed):
            along = torch.exp2(-STRETCH * stretch)
            scales = torch.stack([along, 1 / along], dim=1).diag_embed()
            back = rotation(turn - axis) @ scales @ rotation(axis) * torch.exp2(-ZOOM * zoom)[:, None, None]
            pixels = shift * SHIFT * shift.new_tensor([x0.shape[3], x0.shape[2]])
            rows = changed.to(x0.device)
            x0 = x0.index_copy(0, rows, warped(x0[rows], back[changed], pixels[changed]))
        return x0, told.to(x0)
