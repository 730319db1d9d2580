"""Training times drawn as the loss weighs them."""

from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.prediction import Denoiser
from difflab.schedules import Schedule
from difflab.times.piecewise import check_share, density, draw, middles
from difflab.times.stratified import spread
from difflab.times.times import Drawn, cells


class Weighted:
    """p(t) proportional to sqrt(w(t) min(1, SNR)), w the loss's weight on the error in eps; losses are divided by p.

    w min(1, SNR) is the weight on whichever of the errors, in eps or in x_0, is bounded by the variance of what is
    predicted; w alone would be infinite where alpha vanishes. Its root is half way, on a logarithmic scale, between a
    bounded error that is the same at every time, for which the least variance of the loss has p as the weight itself,
    and one that undoes the weight, for which it is uniform. The numbers are spread over the global batch as those of
    `Stratified`.

    Args:
        loss: with a `weight`.
        denoise: what the loss is taken of; its schedule and parameterisation determine the weight.
        points: cells of equal width in continuous time, each with the weight of its middle; a chain has one for each
            step and a ladder one for each level.
        uniform_share: of the density; no loss is multiplied by more than 1/uniform_share.

    Raises:
        ValueError: for a loss without a weight, less than one point, and a share outside (0, 1).
    """

    unbiased = True

    def __init__(self, loss: Any, denoise: Denoiser, points: int, uniform_share: float) -> None:
        if not hasattr(loss, "weight"):
            name = type(loss).__name__
            raise ValueError(f"times: weighted needs a loss that is a weight on the error in eps; {name} is none")
        if points < 1:
            raise ValueError(f"times.points: {points}; allowed are whole numbers from 1")
        check_share(uniform_share)
        self.loss, self.denoise = loss, denoise
        self.points, self.uniform_share = points, uniform_share
        self.fixed: Tensor | None = None

    def __call__(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        return draw(spread(uniform), self.density(schedule), schedule)

    @torch.no_grad()
    def density(self, schedule: Schedule) -> Float[Tensor, " cells"]:
        """The chance of each cell; computed once, unless training changes the schedule or the loss."""
        if self.fixed is not None:
            return self.fixed
        t = middles(cells(schedule, self.points), schedule)
        weight = self.loss.weight(self.denoise, t).to(t) * schedule.marginal(t).log_snr.exp().clamp(max=1)
        # A weight on eps is infinite or 0/0 where alpha is 0; the loss itself is finite there.
        finite = weight.isfinite()
        weight = torch.where(finite, weight, weight[finite].max() if finite.any() else 1.0)
        p = density(weight.sqrt(), self.uniform_share)
        modules = [part for part in (schedule, self.loss) if isinstance(part, nn.Module)]
        if not any(parameter.requires_grad for parameter in chain(*(m.parameters() for m in modules))):
            self.fixed = p
        return p
