"""The Frechet distance between two sets of features, each taken for a Gaussian."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from difflab.errors import ConfigError


def frechet_distance(
    mean_a: Float[Tensor, " d"], cov_a: Float[Tensor, "d d"], mean_b: Float[Tensor, " d"], cov_b: Float[Tensor, "d d"]
) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson & Landau, 1982; FID: Heusel et al., 2017, Eq. 6).

    The trace of the root of A B equals that of the symmetric A^(1/2) B A^(1/2), so two symmetric
    eigen-decompositions in float64 suffice.
    """
    values, vectors = torch.linalg.eigh(cov_a.double())
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b.double() @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return float(shift + cov_a.double().trace() + cov_b.double().trace() - 2 * cross)


class Moments(Metric):
    """Streaming mean and covariance of features, in float64, summed over processes.

    Args:
        dimension: of the features.
        options: of every metric of torchmetrics.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(self, dimension: int, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(dimension, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("outer", torch.zeros(dimension, dimension, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Float[Tensor, "n d"]) -> None:
        features = features.double()
        self.count += len(features)
        self.total += features.sum(0)
        self.outer += features.T @ features

    def compute(self) -> tuple[Tensor, Tensor]:
        """Mean [d] and unbiased covariance [d, d].

        Raises:
            ConfigError: from as many features as dimensions or fewer, where the covariance is singular.
        """
        n, d = int(self.count), len(self.total)
        if n <= d:
            raise ConfigError(f"metrics.samples: {n} images; a Frechet distance on {d} features needs more than {d}")
        mean = self.total / n
        return mean, (self.outer - n * torch.outer(mean, mean)) / (n - 1)
