"""Langevin dynamics at one noise level, which annealing was invented against."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser
from difflab.samplers.grid import Uniform
from difflab.samplers.langevin import Langevin, moved
from difflab.samplers.sampler import Noise, Walk, Watch
from difflab.schedules import Schedule


class PlainLangevin(Langevin):
    """y <- y + eps/2 score(y) + sqrt(eps) z at one noise level s (Song & Ermon, 2019, Eq. 4), with y = x/alpha.

    For eps -> 0 and many steps the samples are those of the data with noise of s; between modes that are far apart
    they hardly move, so that each mode keeps the share that the start gave it (their section 3.2.2).

    Where the data has the variance v a step multiplies the distance from the mean by 1 - eps/(2 (s^2 + v)), which stays
    within (-1, 1) for eps < 4 (s^2 + v): the least variance decides.

    Args:
        clip: as for every sampler.
        steps: how many.
        step_size: eps, in squared units of the data; None for s^2/5, which is the 2e-5 of their section 5 at s = 0.01.
        sigma: the level s = sigma/alpha; None for the earliest of the schedule.
        start: standard deviation of y at the start; None for a start from the prior.
        denoise: whether the noise of the level is taken off at last.
        least_variance: v of the data in the direction (and, of a mixture, in the mode) where it is least; 0 for data in
            a plane.

    Raises:
        ValueError: for no steps, and step sizes and starts below 0; when called, for a level that the schedule does
            not have, and a step size that diverges.
    """

    def __init__(
        self,
        clip: bool | float,
        steps: int | None,
        step_size: float | None,
        sigma: float | None,
        start: float | None,
        denoise: bool,
        least_variance: float = 0.0,
    ) -> None:
        if steps is None or steps < 1:
            raise ValueError(f"sampler.steps: {steps}; allowed are whole numbers from 1")
        if step_size is not None and not step_size > 0:
            raise ValueError(f"sampler.step_size: {step_size}; allowed are positive numbers")
        if start is not None and not start >= 0:
            raise ValueError(f"sampler.start: {start}; allowed are numbers from 0, and null for the prior's")
        super().__init__(Uniform(), 1, clip, steps, None, None, denoise)
        self.eps, self.sigma, self.start, self.least_variance = step_size, sigma, start, least_variance

    def times(self, schedule: Schedule) -> Float[Tensor, " 1"]:
        """The time of the level."""
        with torch.no_grad():
            if self.sigma is None:
                return torch.tensor([schedule.t_min], dtype=torch.float64)
            t = schedule.time(-2 * torch.tensor([self.sigma], dtype=torch.float64).log())
            ends = torch.tensor([schedule.t_min, 1], dtype=torch.float64)
            found, first, last = (-schedule.marginal(torch.cat([t, ends])).log_snr / 2).exp().tolist()
        if not abs(found - self.sigma) <= 1e-3 * self.sigma:
            raise ValueError(f"sampler.sigma: {self.sigma}; allowed are levels from {first:g} to {last:g}")
        return t

    def plan(self, schedule: Schedule) -> tuple[int, float]:
        with torch.no_grad():
            s2 = float((-schedule.marginal(self.times(schedule)).log_snr).exp())
        eps, most = s2 / 5 if self.eps is None else self.eps, 4 * (s2 + self.least_variance)
        if eps >= most:
            raise ValueError(
                f"sampler.step_size: {eps}; allowed are numbers below 4 (s^2 + v) = {most:g}, with s the noise level "
                "and v the least variance of the data: others diverge"
            )
        return self.inner, eps / (2 * s2)

    def sample(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        noise: Noise,
        watch: Watch | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        if start is None and self.start is not None:
            start = float(schedule.marginal(self.times(schedule)).alpha) * self.start * noise()
        return super().sample(denoise, schedule, noise, watch, start)

    def travel(self, walk: Walk, x: Tensor, times: Float[Tensor, " 1"], noise: Noise) -> Tensor:
        steps, size = self.plan(walk.schedule)
        at = walk.schedule.marginal(times[0])
        for number in range(steps):
            x = moved(x, walk.call(x, times[0], at), size, at, noise)
            walk.tell(x, times[0], (number + 1) / (steps + 1))
        return x
