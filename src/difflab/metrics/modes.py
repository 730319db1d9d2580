"""How the points are shared out among the modes of a known law."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.metrics.checks import check
from difflab.metrics.pairs import closest


def mode_weights(x: Float[Tensor, "n d"], means: Float[Tensor, "modes d"]) -> Float[Tensor, " modes"]:
    """The share of the points that lie nearest to each mean, float64.

    Of modes that overlap these are not the weights: what exact draws of the law have is what to compare with.

    Raises:
        ConfigError: as `check` says.
    """
    check(x, "samples")
    _, nearest = closest(x, means, 1)
    return torch.bincount(nearest[:, 0], minlength=len(means)).double() / len(x)


def binomial_stderr(shares: Float[Tensor, " modes"], n: int) -> Float[Tensor, " modes"]:
    """sqrt(p (1 - p) / n): the standard errors of shares among n independent points; 0 for none and for all."""
    return (shares * (1 - shares) / n).sqrt()
