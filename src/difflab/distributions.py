"""Laws of x_0 with denoiser, score and density of x_t = alpha x_0 + sigma eps in closed form at every noise level.

All arithmetic is float64, whatever the dtype of x; everything is differentiable in x. None of it is saved with a run:
the statistics come from the data each time.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.process import expand
from difflab.schedules import Marginal

Numbers = Tensor | Sequence[Any]


class Distribution(nn.Module, ABC):
    """A law of x_0 whose marginals at every noise level are known; sigma must be positive, alpha may be 0."""

    @abstractmethod
    def x0_hat(self, x: Float[Tensor, "batch *shape"], at: Marginal) -> Float[Tensor, "batch *shape"]:
        """E[x_0 | x_t = x], in the dtype of x; `at` has a value for each example."""

    @abstractmethod
    def log_density(self, x: Float[Tensor, "batch *shape"], at: Marginal) -> Float[Tensor, " batch"]:
        """log q(x_t = x) in nats, all dimensions together, float64."""

    least_variance: float = 0.0  # of x_0, in the direction and in the mode where it is least; 0 where nothing is known

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *shape"]:
        """Draws of x_0, independent of each other."""

    def score(self, x: Float[Tensor, "batch *shape"], at: Marginal) -> Float[Tensor, "batch *shape"]:
        """grad log q(x_t = x), in the dtype of x, by Tweedie's formula (Efron, 2011): (alpha x0_hat - x) / sigma^2."""
        wide = x.double()
        return ((expand(at.alpha, wide) * self.x0_hat(wide, at) - wide) / expand(at.sigma, wide) ** 2).to(x.dtype)


class Mixture(Distribution):
    """sum_k w_k N(m_k, C_k).

    In the principal axes of component k the covariance alpha^2 C_k + sigma^2 I of x_t is diagonal at every noise
    level, so each matrix is decomposed once. x0_hat is the mean of the components' posterior means, weighted by the
    chance of each component given x_t. A call holds a few tensors of [batch, K, D] numbers.

    Args:
        weights: K positive numbers, in any unit.
        means: [K, *shape]; D is the product of shape.
        covariances: for each component a number (isotropic), D variances, or a [D, D] matrix; it may be singular.

    Raises:
        ValueError: for numbers of components or dimensions that differ, weights that are not positive, and matrices
            that are no covariance.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    axes: Tensor | None

    def __init__(self, weights: Numbers, means: Numbers, covariances: Numbers) -> None:
        super().__init__()
        means = torch.as_tensor(means, dtype=torch.float64)
        weights = torch.as_tensor(weights, dtype=means.dtype, device=means.device)
        if not (weights.shape == means.shape[:1] and len(weights) and (weights > 0).all() and weights.isfinite().all()):
            raise ValueError(f"distribution.weights: {weights.tolist()}; allowed are positive numbers, one for a mean")
        if len(covariances) != len(means):
            raise ValueError(f"distribution.covariances: {len(covariances)}; allowed is one for each mean")
        self.shape = means.shape[1:]
        dimensions = self.shape.numel()
        spectra = [
            spectrum(torch.as_tensor(c, dtype=means.dtype, device=means.device), dimensions) for c in covariances
        ]
        identity = torch.eye(dimensions).to(means) if any(a is not None for _, a in spectra) else None
        axes = [identity if a is None else a for _, a in spectra]
        self.register_buffer("weights", weights / weights.sum(), persistent=False)
        self.register_buffer("means", means.flatten(1), persistent=False)
        self.register_buffer("variances", torch.stack([variances for variances, _ in spectra]), persistent=False)
        self.least_variance = float(self.variances.min())
        full = None if identity is None else torch.stack([a for a in axes if a is not None])
        self.register_buffer("axes", full, persistent=False)

    def x0_hat(self, x: Float[Tensor, "batch *shape"], at: Marginal) -> Float[Tensor, "batch *shape"]:
        along, variances, log_joint = self.components(x, at)
        along = expand(at.alpha, along) * self.variances / variances * along
        shift = along if self.axes is None else torch.einsum("bke,kde->bkd", along, self.axes)
        x0 = torch.einsum("bk,bkd->bd", log_joint.softmax(1), self.means + shift)
        return x0.view(x.shape).to(x.dtype)

    def log_density(self, x: Float[Tensor, "batch *shape"], at: Marginal) -> Float[Tensor, " batch"]:
        return self.components(x, at)[2].logsumexp(1)

    def components(self, x: Tensor, at: Marginal) -> tuple[Tensor, Tensor, Tensor]:
        """x_t - alpha m_k along the axes of each component, its variances there, and log w_k q_k(x_t).

        [batch, K, D], [batch, K, D] and [batch, K].
        """
        wide = x.double().flatten(1)[:, None]
        alpha, sigma = expand(at.alpha, wide), expand(at.sigma, wide)
        along = wide - alpha * self.means
        if self.axes is not None:
            along = torch.einsum("bkd,kde->bke", along, self.axes)
        variances = alpha**2 * self.variances + sigma**2
        log_density = -0.5 * (along**2 / variances + variances.log() + math.log(2 * math.pi)).sum(-1)
        return along, variances, self.weights.log() + log_density

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n *shape"]:
        where = generator.device
        component = torch.multinomial(self.weights.to(where), n, replacement=True, generator=generator)
        eps = torch.randn(n, self.means.shape[1], dtype=torch.float64, device=where, generator=generator)
        component, eps = component.to(self.means.device), eps.to(self.means.device)
        x0 = self.variances[component].sqrt() * eps
        if self.axes is not None:
            for k, axes in enumerate(self.axes):
                x0[component == k] = x0[component == k] @ axes.T
        return (self.means[component] + x0).view(n, *self.shape)


def spectrum(covariance: Tensor, dimensions: int) -> tuple[Tensor, Tensor | None]:
    """Variances along the principal axes, [D], and the axes as columns; None where they are those of x."""
    axes = None
    if covariance.shape in ((), (dimensions,)):
        variances = covariance.expand(dimensions)
    elif covariance.shape == (dimensions, dimensions) and torch.allclose(covariance, covariance.T):
        variances, axes = torch.linalg.eigh(covariance)
    else:
        raise ValueError(
            f"distribution.covariances: of shape {list(covariance.shape)}; allowed are a number, "
            f"{dimensions} variances, or a symmetric matrix of {dimensions} x {dimensions}"
        )
    rounding = 1e-6 * variances.abs().max()  # a singular matrix, of float32 maybe, has eigenvalues of either sign
    if not (variances >= -rounding if axes is not None else variances >= 0).all():
        raise ValueError(f"distribution.covariances: variance {float(variances.min()):g}; allowed are none below 0")
    return variances.clamp(min=0), axes


class Gaussian(Mixture):
    """N(mean, covariance), the mean of the shape of an example; the covariance as in `Mixture`."""

    def __init__(self, mean: Numbers, covariance: Numbers | float) -> None:
        super().__init__([1.0], torch.as_tensor(mean, dtype=torch.float64)[None], [covariance])
