"""What the network predicts, as one table, and the denoiser that every loss, sampler and bound calls."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.process import expand
from difflab.schedules import Marginal, Schedule


class Row(NamedTuple):
    """x0_hat = c_skip x + c_out F(c_in x): one row of the table, float64, a value for each time."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


class Eps:
    """F is the noise: x0_hat = (x - sigma F)/alpha (Ho et al., 2020, Eq. 12)."""

    def row(self, at: Marginal) -> Row:
        return Row(1 / at.alpha, -at.sigma / at.alpha, torch.ones_like(at.alpha))


class X0:
    """F is the clean image."""

    def row(self, at: Marginal) -> Row:
        return Row(torch.zeros_like(at.alpha), torch.ones_like(at.alpha), torch.ones_like(at.alpha))


class V:
    """F is v = alpha eps - sigma x0 (Salimans & Ho, 2022, section 4)."""

    def row(self, at: Marginal) -> Row:
        norm = at.alpha**2 + at.sigma**2
        return Row(at.alpha / norm, -at.sigma / norm, torch.ones_like(at.alpha))


@runtime_checkable
class Parameterisation(Protocol):
    """An object with a row of the table."""

    def row(self, at: Marginal) -> Row: ...


@dataclass(frozen=True)
class Prediction:
    """All that a denoiser says about x_t; each [batch, ...], and each determines the others.

    Attributes:
        x0: E[x_0 | x_t].
        eps: E[eps | x_t] = (x_t - alpha x0) / sigma.
        output: the network's own output F.
        alpha, sigma: coefficients of the time, broadcastable over the images.
    """

    x0: Tensor
    eps: Tensor
    output: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def score(self) -> Tensor:
        """grad log q(x_t) = -eps / sigma."""
        return -self.eps / self.sigma

    @property
    def v(self) -> Tensor:
        """alpha eps - sigma x0."""
        return self.alpha * self.eps - self.sigma * self.x0

    def with_x0(self, x0: Tensor, x_t: Tensor) -> "Prediction":
        """The same prediction with another x0 (clipped, say), and eps recomputed so that the two agree on x_t."""
        eps = (x_t - self.alpha * x0) / self.sigma
        return Prediction(x0, eps, self.output, self.alpha, self.sigma)


class Denoiser(nn.Module):
    """A network with its schedule and parameterisation: `denoise(x_t, t) -> Prediction`.

    Args:
        network: called as network(c_in x, c_noise); `network.c_noise(schedule, t)` is what it is told about time.
        schedule: alpha and sigma.
        parameterisation: what the network's output means.
    """

    def __init__(self, network: nn.Module, schedule: Schedule, parameterisation: Parameterisation) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.parameterisation = parameterisation
        self.c_noise: Any = network.c_noise

    def forward(self, x: Float[Tensor, "batch *shape"], t: Float[Tensor, " batch"]) -> Prediction:
        """Predictions at the noisy images `x`, each with its own time (float64, in [t_min, 1])."""
        at = self.schedule.marginal(t)
        c_skip, c_out, c_in = self.parameterisation.row(at)
        output = self.network(expand(c_in, x) * x, self.c_noise(self.schedule, t).to(x.device))
        output = output.to(x.dtype)
        x0 = expand(c_skip, x) * x + expand(c_out, x) * output
        eps = expand((1 - at.alpha * c_skip) / at.sigma, x) * x - expand(at.alpha * c_out / at.sigma, x) * output
        return Prediction(x0, eps, output, expand(at.alpha, x), expand(at.sigma, x))
