"""Which terms of the bound are computed for each image, and with what weight: all of them, or an unbiased few."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Draws(NamedTuple):
    """Steps k and weights w such that sum_j w_j L_{k_j} is an unbiased estimate of the bound; both [images, calls]."""

    k: Tensor
    weight: Tensor


@runtime_checkable
class Estimate(Protocol):
    """How the sum over k = 1..T is estimated.

    Attributes:
        replicates: whether the even and the odd draws are two independent estimates of half the sum each.
    """

    replicates: bool

    def calls(self, T: int) -> int:
        """Network calls for each image."""
        ...

    def pilot(self, T: int) -> Int[Tensor, " points"]:
        """Steps at which a pilot has to measure the mean square of the terms first; empty for none."""
        ...

    def between(self, T: int, values: Float[Tensor, "*rows points"]) -> Float[Tensor, "*rows T"]:
        """What the pilot measured, at every step: linear in log k between its steps; 0 without a pilot."""
        ...

    def density(self, T: int, mean_square: Float[Tensor, " points"]) -> Float[Tensor, " T"]:
        """The chance of each step, from the pilot's mean squares."""
        ...

    def draws(self, density: Float[Tensor, " T"], uniform: Float[Tensor, "images calls"]) -> Draws:
        """Steps and weights for each image from its uniform numbers."""
        ...


class Exact:
    """Every one of the T terms, once."""

    replicates = False

    def calls(self, T: int) -> int:
        return T

    def pilot(self, T: int) -> Int[Tensor, " points"]:
        return torch.empty(0, dtype=torch.long)

    def between(self, T: int, values: Float[Tensor, "*rows points"]) -> Float[Tensor, "*rows T"]:
        return torch.zeros(*values.shape[:-1], T, dtype=torch.float64)

    def density(self, T: int, mean_square: Float[Tensor, " points"]) -> Float[Tensor, " T"]:
        return torch.full((T,), 1 / T, dtype=torch.float64)

    def draws(self, density: Float[Tensor, " T"], uniform: Float[Tensor, "images calls"]) -> Draws:
        k = torch.arange(1, len(density) + 1).expand(len(uniform), -1)
        return Draws(k, torch.ones(k.shape, dtype=torch.float64))


class Stratified:
    """A few terms an image, drawn where they matter: strata of equal mass in the density sqrt(E L_k^2).

    Importance sampling with p_k proportional to sqrt(E L_k^2) has the least variance of all fixed densities; a
    pilot estimates it at steps in geometric progression, and a share of uniform density keeps every weight bounded.
    Even and odd draws are two replicates, each stratified: their difference gives the Monte-Carlo error.

    Args:
        steps: network calls an image, even.
        points: steps at which the pilot measures.
        uniform_share: of the density, in (0, 1).

    Raises:
        ValueError: for odd or too few steps.
    """

    replicates = True

    def __init__(self, steps: int, points: int, uniform_share: float) -> None:
        if steps < 2 or steps % 2:
            raise ValueError(f"likelihood.estimate.steps: {steps}; allowed are even numbers from 2")
        if points < 2:
            raise ValueError(f"likelihood.estimate.points: {points}; allowed are whole numbers from 2")
        if not 0 < uniform_share < 1:
            raise ValueError(f"likelihood.estimate.uniform_share: {uniform_share}; allowed are numbers between 0 and 1")
        self.steps, self.points, self.uniform_share = steps, points, uniform_share

    def calls(self, T: int) -> int:
        return self.steps

    def pilot(self, T: int) -> Int[Tensor, " points"]:
        spaced = torch.logspace(0, torch.log10(torch.tensor(float(T))).item(), self.points, dtype=torch.float64)
        return spaced.round().long().clamp(1, T).unique()

    def between(self, T: int, values: Float[Tensor, "*rows points"]) -> Float[Tensor, "*rows T"]:
        at, k = self.pilot(T).double().log(), torch.arange(1, T + 1, dtype=torch.float64).log()
        upper = torch.searchsorted(at, k).clamp(1, len(at) - 1)
        share = (k - at[upper - 1]) / (at[upper] - at[upper - 1])
        return torch.lerp(values[..., upper - 1], values[..., upper], share)

    def density(self, T: int, mean_square: Float[Tensor, " points"]) -> Float[Tensor, " T"]:
        rms = self.between(T, mean_square.clamp(min=1e-30).log() / 2).exp()
        return (1 - self.uniform_share) * rms / rms.sum() + self.uniform_share / T

    def draws(self, density: Float[Tensor, " T"], uniform: Float[Tensor, "images calls"]) -> Draws:
        half = uniform.shape[1] // 2
        place = (torch.arange(half, dtype=torch.float64).repeat_interleave(2) + uniform.double()) / half
        index = torch.searchsorted(density.cumsum(0), place, right=True).clamp(max=len(density) - 1)
        return Draws(index + 1, 1 / (density[index] * uniform.shape[1]))
