"""Improved precision and recall: how many samples look real, and how much of what is real is sampled."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from difflab.errors import ConfigError
from difflab.metrics.checks import check
from difflab.metrics.pairs import blocks, closest


def precision_recall(samples: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], k: int) -> tuple[float, float]:
    """Shares of the samples in the reference's manifold, and of the reference in that of the samples.

    A set's manifold is the union of the balls about its images that reach to their k-th neighbour in the set
    (Kynkaanniemi et al., 2019, section 2); k = 3 there.

    Raises:
        ConfigError: with a k below 1 or as large as a set, and as `check` says.
    """
    check(samples, "samples")
    check(reference, "reference")
    most = min(len(samples), len(reference)) - 1
    if not 1 <= k <= most:
        raise ConfigError(
            f"metrics.distances.precision_recall.k: {k}, with {len(samples)} samples and {len(reference)} images of "
            f"the reference; allowed are 1 to {most}"
        )
    of_samples, of_reference = (closest(f, f, k + 1)[0][:, -1] for f in (samples, reference))  # each finds itself first
    real = torch.zeros(len(samples), dtype=torch.bool, device=samples.device)
    sampled = torch.zeros(len(reference), dtype=torch.bool, device=samples.device)
    for rows, columns, squared in blocks(samples, reference):
        real[rows] |= (squared <= of_reference[columns]).any(1)
        sampled[columns] |= (squared <= of_samples[rows, None]).any(0)
    return share(real), share(sampled)


def share(flags: Bool[Tensor, " n"]) -> float:
    """Of those that are true."""
    return float(flags.double().mean())
