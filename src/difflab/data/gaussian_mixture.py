"""Points of a mixture of Gaussians: the set whose density and score are known at every noise level."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difflab.data.point_data import PointData
from difflab.distributions import Mixture
from difflab.errors import ConfigError


class GaussianMixture(PointData):
    """sum_k w_k N(m_k, C_k), in the units it is configured in.

    By default the mixture of Song & Ermon (2019, section 3.2): weights 0.2 and 0.8, far apart.

    Args:
        weights: one positive number for each component, in any unit.
        means: one point for each component.
        covariances: for each component a number (isotropic), two variances, or a 2 x 2 matrix.

    Raises:
        ConfigError: for numbers of components that differ, weights that are not positive, means that are no points,
            and covariances that are none.
    """

    distribution: Mixture

    def __init__(
        self,
        batch_size: int,
        size: int,
        val_size: int,
        test_size: int,
        seed: int,
        draw: int,
        weights: Sequence[float],
        means: Sequence[Sequence[float]],
        covariances: Sequence[Any],
    ) -> None:
        super().__init__(batch_size, size, val_size, test_size, seed, draw)
        if not means or not all(len(m) == 2 and all(map(math.isfinite, m)) for m in means):
            raise ConfigError(f"data.means: {means}; allowed are pairs of finite numbers, at least one")
        for field, value in (("weights", weights), ("covariances", covariances)):
            if len(value) != len(means):
                raise ConfigError(f"data.{field}: {value}; allowed are as many as there are means: {len(means)}")
        try:
            self.distribution = Mixture(weights, means, [finite(c) for c in covariances])
        except ValueError as error:
            raise ConfigError(str(error).replace("distribution.", "data.", 1)) from error

    def exact(self, n: int, generator: torch.Generator) -> Tensor:
        return self.distribution.sample(n, generator).float()


def finite(covariance: Any) -> Tensor:
    """The numbers of a covariance; which shapes and values are one, `Mixture` knows."""
    try:
        numbers = torch.as_tensor(covariance, dtype=torch.float64)
    except (ValueError, TypeError):  # rows of different lengths, text
        numbers = torch.tensor(math.nan)
    if not numbers.isfinite().all():
        raise ConfigError(
            f"data.covariances: {covariance}; allowed are a number, 2 variances, or a 2 x 2 matrix, all finite"
        )
    return numbers
