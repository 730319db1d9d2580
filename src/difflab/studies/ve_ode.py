"""The probability-flow ODE in the variables of the variance-exploding SDE: what DDIM's steps are Euler steps of."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchdiffeq import odeint

from difflab.prediction import Denoiser
from difflab.progress import Progress


def solve(denoise: Denoiser, codes: Float[Tensor, "n *shape"], tolerance: float) -> Float[Tensor, "n *shape"]:
    """Images of codes: d xbar / d s = eps_hat with xbar = x/alpha and s = sigma/alpha (Song et al., 2021, Eq. 14).

    From s(1) to s(t_min), and then to data by x0_hat, as samplers do. The samplers' own ODE has other variables and
    another right-hand side (`difflab.likelihood.ode.Course`).

    Args:
        denoise: in float64, or the network's rounding keeps the solver from small tolerances.
        codes: states at t = 1, float64.
        tolerance: relative and absolute, of a step.
    """
    schedule = denoise.schedule
    ends = schedule.marginal(torch.tensor([1.0, schedule.t_min], dtype=torch.float64, device=codes.device))
    s = ends.sigma / ends.alpha
    with Progress("the ODE of the codes", 100) as progress:
        drift = Drift(denoise, s, progress)
        path = odeint(drift, codes / ends.alpha[0], s, rtol=tolerance, atol=tolerance, method="dopri5")
    last = ends.alpha[1] * path[-1]  # type: ignore[index]
    return denoise(last, torch.full((len(codes),), schedule.t_min, dtype=torch.float64)).x0


class Drift:
    """eps_hat at (xbar, s), and how far the solver has come."""

    def __init__(self, denoise: Denoiser, ends: Float[Tensor, " 2"], progress: Progress) -> None:
        self.denoise, self.ends, self.progress = denoise, ends, progress

    def __call__(self, s: Float[Tensor, ""], xbar: Tensor) -> Tensor:
        s = s.clamp(self.ends.min(), self.ends.max())
        t = self.denoise.schedule.time(-2 * s.log())
        alpha = self.denoise.schedule.marginal(t).alpha
        return self.denoise(alpha * xbar, t.expand(len(xbar))).eps

    def callback_accept_step(self, s: Tensor, xbar: Tensor, ds: Any) -> None:
        """Called by the solver."""
        share = float((self.ends[0] / s).log() / (self.ends[0] / self.ends[1]).log())
        self.progress.advance(round(100 * share) - self.progress.done)
