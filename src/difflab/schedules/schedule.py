"""What a noise schedule is: alpha(t), sigma(t) and the interval of times on which their ratio is finite."""

from abc import ABC, abstractmethod
from typing import NamedTuple

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
        t_min: the earliest noisy time.
        prior_std: standard deviation of the prior at t = 1.
    """

    T: int | None
    t_min: float
    prior_std: float = 1.0

    @abstractmethod
    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        """alpha, sigma and log_snr at the times `t` (float64), each of the shape of `t`."""

    @abstractmethod
    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The time in [t_min, 1] at which the schedule has this log_snr: the inverse of `marginal`."""
