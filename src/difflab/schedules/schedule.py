"""What a noise schedule is: alpha(t), sigma(t) and the interval of times on which their ratio is finite."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Marginal(NamedTuple):
    """q(x_t | x_0) = N(alpha x_0, sigma^2 I) at one time or many, in float64; log_snr = 2 log(alpha / sigma)."""

    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor


class Schedule(nn.Module, ABC):
    """A Gaussian process x_t = alpha(t) x_0 + sigma(t) eps on [t_min, 1], with log_snr falling from t_min to 1.

    Everything else (betas, posteriors, weights, drifts) is derived from these two functions, in `difflab.process`.
    Data is the state before t_min: it is reached by a last denoising step, and no formula is evaluated there.

    Attributes:
        T: number of steps of the chain, t_k = k / T; None for schedules of continuous time.
        L: number of levels of a ladder t_k = (k-1)/(L-1); None where there is none.
        t_min: the earliest noisy time.
        prior_std: standard deviation of the prior at t = 1.
    """

    T: int | None = None
    L: int | None = None
    t_min: float
    prior_std: float = 1.0

    @abstractmethod
    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        """alpha, sigma and log_snr at the times `t` (float64), each of the shape of `t`.

        alpha may be 0 at t = 1, where log_snr is then -inf; everywhere else all three are finite.
        """

    @abstractmethod
    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The time in [t_min, 1] at which the schedule has this log_snr: the inverse of `marginal`, clamped."""

    def slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """d log_snr / dt, one-sided at the knots of a chain; -inf where alpha is 0.

        Differentiable in the schedule's parameters (and in `t`, where that requires a gradient), and computed under
        `no_grad` and `inference_mode` all the same.
        """
        return self._derivative(lambda at: at.log_snr, t)

    def snr_slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """d SNR / dt with SNR = (alpha / sigma)^2: finite also where alpha is 0."""
        return self._derivative(lambda at: (at.alpha / at.sigma) ** 2, t)

    def _derivative(self, of: Callable[[Marginal], Tensor], t: Tensor) -> Tensor:
        live = t.requires_grad or any(parameter.requires_grad for parameter in self.parameters())
        graph = live and torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            t = t.double() if graph and t.requires_grad else t.double().clone().detach().requires_grad_()
            (slope,) = torch.autograd.grad(of(self.marginal(t)).sum(), t, create_graph=graph)
        return slope
