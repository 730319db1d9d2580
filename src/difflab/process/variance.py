"""The variance of the reverse step p(x_s | x_t): one owner for loss, bound and sampler."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.process.conditionals import Transition, diffuse
from difflab.schedules import Schedule


class Variance(ABC):
    """The variance of p(x_s | x_t), a number for each image or for each pixel.

    Attributes:
        outputs: how many outputs beside its prediction the network needs for each channel.
    """

    outputs = 0

    @abstractmethod
    def __call__(self, step: Transition, extra: Tensor | None) -> Tensor:
        """The variance of a step; it broadcasts over whatever the step's coefficients broadcast over.

        Args:
            step: from t to s.
            extra: the network's outputs beside its prediction at x_t, None where it has none.
        """

    def decoder(self, first: Transition, extra: Tensor | None) -> Tensor:
        """The variance of the decoder p(x_0 | x_1), where `first` holds beta_1 and beta~_2 in the place of beta~_1."""
        return first.posterior_var

    def correction(self, log_snr: Tensor, slope: Tensor) -> Tensor:
        """What a sampler with a noise of its own choice adds to the variance of that noise.

        Args:
            log_snr: at t.
            slope: derivative of the step's mean with respect to x0_hat.
        """
        return torch.zeros_like(slope)

    def measure(  # noqa: B027  (nothing to do is what most variances do)
        self, denoise: Callable[..., Any], schedule: Schedule, x0: Tensor, noise: Callable[[], Tensor]
    ) -> None:
        """Whatever has to be known of the trained denoiser; most variances know all they need.

        Args:
            x0: some training images, on the denoiser's device.
            noise: standard normal numbers of the shape of `x0`, fresh at each call.
        """


class Posterior(Variance):
    """beta~, the variance of q(x_s | x_t, x_0): optimal when x_0 is a known point (Ho et al., 2020, section 3.2)."""

    def __call__(self, step: Transition, extra: Tensor | None) -> Tensor:
        return step.posterior_var


class Forward(Variance):
    """beta, the variance of q(x_t | x_s): optimal when x_0 is standard normal (Ho et al., 2020, section 3.2)."""

    def __call__(self, step: Transition, extra: Tensor | None) -> Tensor:
        return step.var_ts


class Learned(Variance):
    """exp(v log beta + (1 - v) log beta~), v from the network for each pixel (Nichol & Dhariwal, 2021, Eq. 15).

    The network's extra outputs, one a channel, are 2 v - 1: where they are -1 the variance is beta~, at 1 it is beta.
    """

    outputs = 1

    def __call__(self, step: Transition, extra: Tensor | None) -> Tensor:
        if extra is None:
            raise ValueError("variance: learned needs a network with two outputs a channel; this one has one")
        share = (extra.to(step.var_ts.dtype) + 1) / 2
        return torch.exp(share * step.var_ts.log() + (1 - share) * step.posterior_var.log())

    def decoder(self, first: Transition, extra: Tensor | None) -> Tensor:
        return self(first, extra)


class Analytic(Variance):
    """beta~ + (d mean / d x0_hat)^2 Var(x_0 | x_t): the best isotropic variance for the mean that the network gives.

    The optimum of the bound in closed form (Bao et al., 2022, Analytic-DPM, Theorem 1), with the mean square error
    of x0_hat (not clipped) measured on training images, which stays the optimum where the network is imperfect (Bao et
    al., 2022, Estimating the Optimal Covariance with Imperfect Mean, Theorem 3).

    Args:
        points: noise levels at which the error is measured; between them its logarithm is linear in log_snr.
    """

    def __init__(self, points: int) -> None:
        if points < 2:
            raise ValueError(f"variance.points: {points}; allowed are whole numbers from 2")
        self.points = points
        self.log_snr: Tensor | None = None
        self.log_error: Tensor | None = None

    @torch.no_grad()
    def measure(self, denoise: Callable[..., Any], schedule: Schedule, x0: Tensor, noise: Callable[[], Tensor]) -> None:
        # beyond e^10 : 1 there is no signal, or no noise, to measure; -inf is where alpha = 0
        ends = schedule.marginal(torch.tensor([1.0, schedule.t_min], dtype=torch.float64)).log_snr.clamp(-20, 20)
        times = schedule.time(torch.linspace(float(ends[0]), float(ends[1]), self.points, dtype=torch.float64))
        if schedule.T is not None:
            times = ((times * schedule.T).round().clamp(1, schedule.T) / schedule.T).unique().flip(0)
        errors = []
        for t in times:
            x_t = diffuse(schedule, x0, noise(), t.expand(len(x0)))
            errors.append((denoise(x_t, t.expand(len(x0)).to(x0.device)).x0 - x0).double().square().mean().cpu())
        self.log_snr = schedule.marginal(times).log_snr.clamp(min=-1e3)  # finite, and still rising
        self.log_error = torch.stack(errors).clamp(min=1e-12).log()

    def error(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """E |x_0 - x0_hat|^2 a dimension at these noise levels.

        Raises:
            ValueError: before `measure`.
        """
        if self.log_snr is None or self.log_error is None:
            raise ValueError("variance: analytic is measured of a trained network, and has not been yet")
        knots, heights = self.log_snr.to(log_snr.device), self.log_error.to(log_snr.device)
        at = log_snr.double().clamp(float(knots[0]), float(knots[-1])).contiguous()
        upper = torch.searchsorted(knots, at).clamp(1, len(knots) - 1)
        share = (at - knots[upper - 1]) / (knots[upper] - knots[upper - 1])
        return torch.lerp(heights[upper - 1], heights[upper], share).exp().to(log_snr.dtype)

    def __call__(self, step: Transition, extra: Tensor | None) -> Tensor:
        return step.posterior_var + self.correction(step.log_snr, step.of_x0)

    def correction(self, log_snr: Tensor, slope: Tensor) -> Tensor:
        return slope**2 * self.error(log_snr)
