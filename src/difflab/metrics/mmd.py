"""The maximum mean discrepancy of CMMD: a Gaussian kernel on features of unit norm."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from difflab.errors import ConfigError
from difflab.metrics.checks import check
from difflab.metrics.pairs import blocks

SCALE = 1000  # of the published figures


def mmd(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], bandwidth: float) -> float:
    """1000 MMD^2 with the kernel exp(-|x - y|^2 / (2 bandwidth^2)) of features scaled to unit norm.

    Jayasumana et al. (2024), section 4: CMMD is this on embeddings of CLIP with bandwidth 10. The estimate takes
    the pairs of an image with itself in: never negative, 0 for equal sets, and for sets of one distribution above 0
    by 1000 E[1 - kernel] (1/n + 1/m).

    Raises:
        ConfigError: with a bandwidth that is not above 0, and as `check` says.
    """
    check(a, "samples")
    check(b, "reference")
    if not bandwidth > 0:
        raise ConfigError(f"metrics.distances.mmd.bandwidth: {bandwidth}; allowed is more than 0")
    a, b = normalize(a.double()), normalize(b.double())
    return SCALE * (kernel_mean(a, a, bandwidth) + kernel_mean(b, b, bandwidth) - 2 * kernel_mean(a, b, bandwidth))


def kernel_mean(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], bandwidth: float) -> float:
    """E[kernel] - 1 over all pairs: the kernel is so close to 1 that its difference from 1 is what counts."""
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for _, _, squared in blocks(x, y):
        total += torch.expm1(squared / (-2 * bandwidth**2)).sum()
    return float(total) / (len(x) * len(y))
