"""What the network predicts, as one table, and the denoiser that every loss, sampler and bound calls."""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.condition import Condition, Conditioning, Unconditional
from difflab.process import expand
from difflab.schedules import Marginal, Schedule


class Row(NamedTuple):
    """x0_hat = c_skip x + c_out F(c_in x): one row of the table, float64, a value for each time."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


class Eps:
    """F is the noise: x0_hat = (x - sigma F)/alpha (Ho et al., 2020, Eq. 12)."""

    needs_alpha = True

    def row(self, at: Marginal) -> Row:
        return Row(1 / at.alpha, -at.sigma / at.alpha, torch.ones_like(at.alpha))


class X0:
    """F is the clean image."""

    needs_alpha = False

    def row(self, at: Marginal) -> Row:
        return Row(torch.zeros_like(at.alpha), torch.ones_like(at.alpha), torch.ones_like(at.alpha))


class V:
    """F is v = alpha eps - sigma x0 (Salimans & Ho, 2022, section 4)."""

    needs_alpha = False

    def row(self, at: Marginal) -> Row:
        norm = at.alpha**2 + at.sigma**2
        return Row(at.alpha / norm, -at.sigma / norm, torch.ones_like(at.alpha))


class Score:
    """F is sigma times the score, so that the score is F/sigma (Song & Ermon, 2020, Technique 3)."""

    needs_alpha = True

    def row(self, at: Marginal) -> Row:
        return Row(1 / at.alpha, at.sigma / at.alpha, torch.ones_like(at.alpha))


class DirectScore:
    """F is the score itself (Song & Ermon, 2019): of the size of 1/sigma, which the network must find by itself."""

    needs_alpha = True

    def row(self, at: Marginal) -> Row:
        return Row(1 / at.alpha, at.sigma**2 / at.alpha, torch.ones_like(at.alpha))


class EDM:
    """F has unit variance, in and out, at every noise level of x/alpha (Karras et al., 2022, Table 1).

    With s = sigma/alpha: c_skip = sd^2/(s^2 + sd^2), c_out = s sd/sqrt(s^2 + sd^2), c_in = 1/sqrt(s^2 + sd^2).

    Args:
        sigma_data: standard deviation sd of the data.
    """

    needs_alpha = True

    def __init__(self, sigma_data: float) -> None:
        if not sigma_data > 0:
            raise ValueError(f"prediction.sigma_data: {sigma_data}; allowed are positive numbers")
        self.sigma_data = sigma_data

    def row(self, at: Marginal) -> Row:
        sd = self.sigma_data
        norm = at.sigma**2 + (at.alpha * sd) ** 2
        return Row(at.alpha * sd**2 / norm, at.sigma * sd / norm.sqrt(), 1 / norm.sqrt())


class Flow:
    """F is u = eps - x0, the velocity of the linear interpolant (Lipman et al., 2023); x0_hat = x - t F there.

    On any other schedule x0_hat = (x - sigma F)/(alpha + sigma).
    """

    needs_alpha = False

    def row(self, at: Marginal) -> Row:
        norm = at.alpha + at.sigma
        return Row(1 / norm, -at.sigma / norm, torch.ones_like(at.alpha))


@runtime_checkable
class Parameterisation(Protocol):
    """An object with a row of the table.

    Attributes:
        needs_alpha: whether x0_hat exists only where alpha > 0.
    """

    needs_alpha: bool

    def row(self, at: Marginal) -> Row: ...


@dataclass(frozen=True)
class Prediction:
    """All that a denoiser says about x_t; each [batch, ...], and each determines the others.

    Attributes:
        x0: E[x_0 | x_t].
        eps: E[eps | x_t] = (x_t - alpha x0) / sigma.
        output: the network's own output F.
        alpha, sigma: coefficients of the time, broadcastable over the images.
        extra: the network's outputs beside F (for a learned variance), or None.
    """

    x0: Tensor
    eps: Tensor
    output: Tensor
    alpha: Tensor
    sigma: Tensor
    extra: Tensor | None = None

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
        return replace(self, x0=x0, eps=eps)


class Denoiser(nn.Module):
    """A network with its schedule and parameterisation: `denoise(x_t, t) -> Prediction`.

    Args:
        network: called as network(c_in x, c_noise); `network.c_noise(schedule, t)` is what it is told about time. It
            returns F, or F and extra outputs as further channels. One that can be told a condition takes it as a third
            argument, and without it answers as for `Condition()`.
        schedule: alpha and sigma.
        parameterisation: what the network's output means.
        conditioning: what the network was trained to be told of an example.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        parameterisation: Parameterisation,
        conditioning: Conditioning | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.parameterisation = parameterisation
        self.conditioning = conditioning or Unconditional()
        self.c_noise: Any = network.c_noise

    @property
    def device(self) -> torch.device:
        """Where the weights are, or the buffers of a network without weights."""
        held = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if held is None else held.device

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(p.requires_grad for p in self.parameters())

    def forward(
        self,
        x: Float[Tensor, "batch *shape"],
        t: Float[Tensor, " batch"],
        at: Marginal | None = None,
        condition: Condition | None = None,
    ) -> Prediction:
        """Predictions at the noisy images `x`, each with its own time.

        Args:
            x: noisy images.
            t: their times, float64, in [t_min, 1].
            at: the schedule's marginal at t (one number for all where all times are one), for callers that have it.
            condition: of each image, on their device; None where the network is told nothing.
        """
        at = self.schedule.marginal(t) if at is None else at
        told = () if condition is None else (condition,)
        c_in, c_noise = self.parameterisation.row(at).c_in, self.c_noise(self.schedule, t).to(x.device)
        return self.read(self.network(expand(c_in, x) * x, c_noise, *told).to(x.dtype), x, at)

    def read(self, output: Tensor, x: Float[Tensor, "batch *shape"], at: Marginal) -> Prediction:
        """What the network's output, with whatever comes beside F, says of x at these marginals."""
        c_skip, c_out, _ = self.parameterisation.row(at)
        channels = x.shape[1]
        extra = output[:, channels:] if output.shape[1] > channels else None
        output = output[:, :channels]
        x0 = expand(c_skip, x) * x + expand(c_out, x) * output
        eps = expand((1 - at.alpha * c_skip) / at.sigma, x) * x - expand(at.alpha * c_out / at.sigma, x) * output
        return Prediction(x0, eps, output, expand(at.alpha, x), expand(at.sigma, x), extra)
