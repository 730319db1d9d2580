"""The Frechet distance between two sets of features, each taken for a Gaussian."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from difflab.errors import ConfigError
from difflab.metrics.checks import check

BATCH = 8192  # features that are in float64 at a time
BLOCK = 256  # columns of a triangle that are multiplied at a time


def frechet_distance(
    mean_a: Float[Tensor, " d"], cov_a: Float[Tensor, "d d"], mean_b: Float[Tensor, " d"], cov_b: Float[Tensor, "d d"]
) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson & Landau, 1982; FID: Heusel et al., 2017, Eq. 6)."""
    return Reference(mean_b, cov_b).distance(mean_a, cov_a)


class Reference:
    """The Gaussian that many distances are taken to: the root of its covariance is computed once.

    With any root B = L L' the eigenvalues of A B are those of the symmetric L' A L, whose roots add up to the trace of
    (A B)^(1/2): one factorisation for the reference and the eigenvalues of one symmetric matrix for each distance
    suffice, in float64. The root is Cholesky's, a tenth of the time of an eigen-decomposition; where the covariance
    has not full rank, and there is none, the symmetric one.
    """

    def __init__(self, mean: Float[Tensor, " d"], cov: Float[Tensor, "d d"]) -> None:
        self.mean, self.cov = mean.double(), cov.double()
        self.root, failed = torch.linalg.cholesky_ex(self.cov)
        self.triangular = not failed
        if failed:
            with one_thread():
                values, vectors = torch.linalg.eigh(self.cov)
            self.root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def distance(self, mean: Float[Tensor, " d"], cov: Float[Tensor, "d d"]) -> float:
        """The Frechet distance of another Gaussian to this one."""
        cov = cov.double()
        product = between_triangles(self.root, cov) if self.triangular else self.root.T @ cov @ self.root
        cross = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()  # it asks for the lower half alone
        shift = (mean.double() - self.mean).square().sum()
        return float(shift + cov.trace() + self.cov.trace() - 2 * cross)


def between_triangles(lower: Float[Tensor, "d d"], cov: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """The lower half of L' A L, without the half of L that is zero: a third of the work of two products."""
    blocks = [slice(i, i + BLOCK) for i in range(0, len(cov), BLOCK)]
    right = torch.cat([cov[:, b.start :] @ lower[b.start :, b] for b in blocks], dim=1)
    product = torch.zeros_like(cov)
    for b in blocks:
        product[b, : b.stop] = lower[b.start :, b].T @ right[b.start :, : b.stop]
    return product


@contextmanager
def one_thread() -> Iterator[None]:
    """Eigenvectors gain little from more threads, and crawl where other work holds the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def moments(features: Float[Tensor, "n d"], force: bool = False) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance of features, in float64.

    Raises:
        ConfigError: from as many features as dimensions or fewer unless forced, and as `check` says.
    """
    state = Moments(features.shape[1], force, sync_on_compute=False)  # the whole set is here: nothing to gather
    check(features, "features")  # once more than the batches are: by its number in the set
    for batch in features.split(BATCH):
        state.update(batch)
    return state.compute()


class Moments(Metric):
    """Streaming mean and covariance of features, in float64, over processes.

    Sums of squares about a mean are merged, never sums of plain squares: what features have in common cancels
    before it is squared (Chan, Golub & LeVeque, 1983).

    Args:
        dimension: of the features.
        force: whether covariances that cannot have full rank are let through.
        options: of every metric of torchmetrics.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self, dimension: int, force: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.force = force
        self.add_state("sums", torch.zeros(dimension + 1, dimension + 1, dtype=torch.float64), dist_reduce_fx=merged)

    def update(self, features: Float[Tensor, "n d"]) -> None:
        """Take another batch in.

        Raises:
            ConfigError: as `check` says.
        """
        check(features, "features")
        self.sums = merged(torch.stack([self.sums, summed(features)]))

    def compute(self) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
        """Mean [d] and unbiased covariance [d, d].

        Raises:
            ConfigError: from as many features as dimensions or fewer, where the covariance is singular, unless
                forced; from fewer than two in any case.
        """
        n, d = int(self.sums[0, 0]), len(self.sums) - 1
        if n < 2:
            raise ConfigError(f"metrics.samples: {n} images have no covariance; allowed is 2 or more")
        if n <= d and not self.force:
            raise ConfigError(
                f"metrics.samples: {n} images; a Frechet distance on {d} features needs more than {d}, "
                f"or metrics.force=true"
            )
        return unpacked(self.sums)


def summed(features: Float[Tensor, "n d"]) -> Float[Tensor, "d_1 d_1"]:
    """Count, mean and scatter about the mean, in float64, as one matrix [[count, mean], [0, scatter]]."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    sums = centred.new_zeros(len(mean) + 1, len(mean) + 1)
    sums[0, 0], sums[0, 1:], sums[1:, 1:] = len(features), mean, centred.T @ centred
    return sums


def merged(parts: Float[Tensor, "parts d_1 d_1"]) -> Float[Tensor, "d_1 d_1"]:
    """Count, mean and scatter of a whole from those of its parts."""
    counts, means, whole = parts[:, 0, 0], parts[:, 0, 1:], parts.sum(0)
    whole[0, 1:] = counts @ means / whole[0, 0].clamp(min=1)
    away = means - whole[0, 1:]
    whole[1:, 1:] += (counts * away.T) @ away
    return whole


def unpacked(sums: Float[Tensor, "d_1 d_1"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance."""
    return sums[0, 1:], sums[1:, 1:] / (sums[0, 0] - 1)
