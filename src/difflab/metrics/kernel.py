"""The kernel distance: an unbiased estimate of the squared maximum mean discrepancy, KID on features of Inception."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.errors import ConfigError
from difflab.metrics.checks import check


def kernel_distance(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], subsets: int, size: int, seed: int
) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the unbiased MMD^2 with the kernel (x.y / d + 1)^3.

    Binkowski et al. (2018), section 4; the kernel in float64. The spread is that of single subsets, which share images:
    it is no standard error of the mean.

    Args:
        a: features of the samples.
        b: features of the reference.
        subsets: how many.
        size: images in each, of either set, drawn without replacement.
        seed: of the draws.

    Raises:
        ConfigError: with a size above that of a set or below 2, without a subset, and as `check` says.
    """
    check(a, "samples")
    check(b, "reference")
    most = min(len(a), len(b))
    if not 2 <= size <= most:
        raise ConfigError(
            f"metrics.distances.kernel.size: {size}, with {len(a)} samples and {len(b)} images of the reference; "
            f"allowed are 2 to {most}"
        )
    if subsets < 1:
        raise ConfigError(f"metrics.distances.kernel.subsets: {subsets}; allowed is 1 or more")
    draw = np.random.RandomState(seed)  # the published figures are drawn by it
    found = []
    for _ in range(subsets):
        x, y = (f[torch.from_numpy(draw.choice(len(f), size, replace=False)).to(f.device)].double() for f in (a, b))
        found.append(float(without_itself(x) + without_itself(y) - 2 * kernel(x, y).mean()))
    return float(np.mean(found)), float(np.std(found))


def kernel(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """(x.y / d + 1)^3 of all pairs."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def without_itself(x: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The mean of the kernel over the pairs of two different rows."""
    pairs = kernel(x, x)
    return (pairs.sum() - pairs.trace()) / (len(x) * (len(x) - 1))
