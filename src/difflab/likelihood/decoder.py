"""L_0: the decoder p(x_0 | x_1), over the levels of the data or as a density."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Decoder(Protocol):
    """decoder=: what p(x_0 | x_1) = N(mean, std^2) says of an image on `levels` values."""

    def nats(self, x0: Tensor, mean: Tensor, std: Float[Tensor, "*batch"], levels: int) -> Float[Tensor, " batch"]:
        """-log p(x_0 | x_1) in nats per dimension; arguments as in `discretised_nats`."""
        ...


class Discretised:
    """The mass of each level's bin (Ho et al., 2020, Eq. 13)."""

    def nats(self, x0: Tensor, mean: Tensor, std: Float[Tensor, "*batch"], levels: int) -> Float[Tensor, " batch"]:
        return discretised_nats(x0, mean, std, levels)


class Gaussian:
    """The density at the level times the width 2/(levels - 1) of its bin, so that the bits are those of the same data.

    It stands for the mass of the bin where the density hardly changes over it, std far above the width. A narrower
    one claims more than the whole mass near the mean: these bits can be negative, and then they bound nothing.
    """

    def nats(self, x0: Tensor, mean: Tensor, std: Float[Tensor, "*batch"], levels: int) -> Float[Tensor, " batch"]:
        return gaussian_nats(x0, mean, std) - math.log(2 / (levels - 1))


def discretised_nats(x0: Tensor, mean: Tensor, std: Float[Tensor, "*batch"], levels: int) -> Float[Tensor, " batch"]:
    """-log p(x_0) in nats per dimension, [batch], under N(mean, std^2) integrated over the bin of each level.

    The levels are -1, ..., 1; a bin reaches half a level to each side, the outermost ones to infinity
    (Ho et al., 2020, Eq. 13). Exact normal CDF in float64, computed in the lower tail so that nothing cancels.

    Args:
        x0, mean: [batch, ...], x0 on the levels.
        std: width of the decoder, broadcastable over the images.
        levels: how many values a pixel of the data can take.
    """
    half = 1 / (levels - 1)
    x0, mean, std = x0.double(), mean.double(), std.double()
    lower = torch.where(x0 <= -1 + half, -torch.inf, (x0 - half - mean) / std)
    upper = torch.where(x0 >= 1 - half, torch.inf, (x0 + half - mean) / std)
    flip = lower > -upper  # mirror the bins of the upper tail
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_upper = torch.special.log_ndtr(upper)
    log_mass = log_upper + torch.log1p(-torch.exp(torch.special.log_ndtr(lower) - log_upper))
    return -log_mass.flatten(1).mean(1)


def gaussian_nats(x0: Tensor, mean: Tensor, std: Float[Tensor, "*batch"]) -> Float[Tensor, " batch"]:
    """-log p(x_0) in nats per dimension, [batch], under the density N(mean, std^2): the decoder of continuous data.

    Arguments as in `discretised_nats`, on any values x0.
    """
    x0, mean, std = x0.double(), mean.double(), std.double()
    each = 0.5 * ((x0 - mean) / std).square() + std.log() + 0.5 * math.log(2 * math.pi)
    return each.flatten(1).mean(1)
