"""The probability-flow ODE by an adaptive solver."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.likelihood.ode import Course, check_tolerances
from difflab.prediction import Prediction
from difflab.samplers.grid import Uniform
from difflab.samplers.sampler import Noise, Sampler, Step, Walk
from difflab.schedules import Schedule


class ODE(Sampler):
    """From 1 to t_min in steps that the solver chooses (Song et al., 2021, section 4.3; Dormand & Prince, 1980).

    `Course` has the equation and its variables; the state is float64 around a network that keeps its dtype. The error
    norm is a mean over the batch, which couples its images: alone and in company they agree within the tolerances only.

    Args:
        clip: as for every sampler; the kinks of a clipped x0_hat cost calls.
        rtol, atol: relative and absolute error of a step, for states of unit noise.

    Raises:
        ValueError: for tolerances outside (0, 1).
    """

    deterministic = True

    def __init__(self, clip: bool | float, rtol: float, atol: float) -> None:
        super().__init__(Uniform(), 2, clip)  # 1 and t_min: the ends
        check_tolerances("sampler", rtol, atol)
        self.rtol, self.atol = rtol, atol

    def calls(self, schedule: Schedule) -> None:
        """Unknown before the end: they are counted."""
        return

    def travel(self, walk: Walk, x: Tensor, times: Float[Tensor, " steps"], noise: Noise) -> Tensor:
        return self.solve(walk, x, times[0], times[-1])

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        return self.solve(step.walk, x, step.t, step.s)

    def solve(self, walk: Walk, x: Tensor, t: Float[Tensor, ""], s: Float[Tensor, ""]) -> Tensor:
        """x at s from x at t."""
        course = Course(walk.schedule, torch.stack([t, s]), x.device)
        y = course.solve(Drift(walk, course, x.dtype), x.double() / course.norms[0], self.rtol, self.atol)
        return (course.norms[1] * y).to(x.dtype)


class Drift:
    """dy/dw for the solver, and what the watcher hears of its progress."""

    def __init__(self, walk: Walk, course: Course, dtype: torch.dtype) -> None:
        self.walk, self.course, self.dtype = walk, course, dtype

    def __call__(self, w: Float[Tensor, ""], y: Tensor) -> Tensor:
        t, norm = self.course.at(w)
        x = (norm * y).to(self.dtype)
        self.newest = x, t, w
        return self.walk.call(x, t).x0.double() - w.tanh() * y

    def callback_accept_step(self, w: Tensor, y: Tensor, dw: Tensor) -> None:
        """Called by the solver, with the start of the step; the last evaluation was at its end."""
        x, t, here = self.newest
        self.walk.tell(x, t, self.course.share(here))
