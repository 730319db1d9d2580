"""q(x_t | x_0), q(x_t | x_s) and q(x_s | x_t, x_0) of any schedule.

One formula serves the full chain and every sub-grid of it, so a respaced chain needs no class of its own. All
coefficients are float64 functions of the times; they are cast when they meet an image.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules import Marginal, Schedule


def expand(coefficient: Float[Tensor, "*batch"], x: Tensor) -> Tensor:
    """A coefficient for each image or one for all, in the dtype and on the device of `x`, ready to broadcast on it."""
    return coefficient.to(x.device, x.dtype).reshape(-1, *[1] * (x.dim() - 1))


def diffuse(schedule: Schedule, x0: Tensor, eps: Tensor, t: Float[Tensor, " batch"]) -> Tensor:
    """x_t = alpha(t) x_0 + sigma(t) eps: a draw from q(x_t | x_0) (Ho et al., 2020, Eq. 4)."""
    alpha, sigma, _ = schedule.marginal(t)
    return expand(alpha, x0) * x0 + expand(sigma, x0) * eps


class Transition(NamedTuple):
    """q(x_t | x_s) = N(alpha_ts x_s, var_ts I) and q(x_s | x_t, x_0) = N(of_xt x_t + of_x0 x_0, posterior_var I).

    Attributes:
        log_snr: at t.
    """

    alpha_ts: Tensor
    var_ts: Tensor
    of_xt: Tensor
    of_x0: Tensor
    posterior_var: Tensor
    log_snr: Tensor

    def over(self, x: Tensor) -> "Transition":
        """The same, every coefficient ready to broadcast over the images `x`, of whose dtype and device they are."""
        return Transition(*(expand(c, x) for c in self))


def transition(schedule: Schedule, s: Float[Tensor, "*batch"], t: Float[Tensor, "*batch"]) -> Transition:
    """Both conditionals between two times s < t of [t_min, 1], float64 (Ho et al., 2020, Eq. 2 and 7)."""
    return between(schedule.marginal(s), schedule.marginal(t))


def between(at_s: Marginal, at_t: Marginal) -> Transition:
    """The same from two marginals: for callers that have them already."""
    alpha_ts = at_t.alpha / at_s.alpha
    # sigma_t^2 - alpha_ts^2 sigma_s^2 without its cancellation
    fraction = -torch.expm1(at_t.log_snr - at_s.log_snr)
    var_ts = at_t.sigma**2 * fraction
    shrink = (at_s.sigma / at_t.sigma) ** 2
    return Transition(
        alpha_ts, var_ts, alpha_ts * shrink, at_s.alpha * fraction, at_s.sigma**2 * fraction, at_t.log_snr
    )
