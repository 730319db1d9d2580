"""The loop that every sampler shares."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser, Prediction
from difflab.process import Transition, between
from difflab.samplers.grid import Grid
from difflab.schedules import Marginal, Schedule

Noise = Callable[[], Tensor]


class Step(NamedTuple):
    """One step of the loop, from the time t to an earlier time s."""

    at_s: Marginal
    at_t: Marginal
    transition: Transition


class Sampler(ABC):
    """From noise to images along a falling grid of times, one network call a step.

    Args:
        grid: where the network is called.
        steps: how many times; None for all T of the chain.
        clip: whether x0_hat is clipped to [-1, 1], with eps recomputed from it.
    """

    def __init__(self, grid: Grid, steps: int | None, clip: bool) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"sampler.steps: {steps}; allowed are whole numbers from 1")
        self.grid, self.steps, self.clip = grid, steps, clip

    @abstractmethod
    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        """x_s from x_t and the prediction at x_t."""

    def times(self, schedule: Schedule) -> Float[Tensor, " steps"]:
        """The grid for this schedule.

        Raises:
            ValueError: where the steps do not fit the schedule.
        """
        steps = self.steps if self.steps is not None else schedule.T
        if steps is None:
            raise ValueError("sampler.steps: null means all T steps of a chain; this schedule has none: give a number")
        if schedule.T is not None and steps > schedule.T:
            raise ValueError(f"sampler.steps: {steps}; allowed are 1 to T = {schedule.T}")
        return self.grid(schedule, steps)

    def sample(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        noise: Noise,
        after_step: Callable[[int, Tensor, Prediction], None] | None = None,
    ) -> Tensor:
        """Images, of the shape of what `noise` returns: `len(times)` network calls, the last one denoises to data.

        Args:
            denoise: the denoiser.
            schedule: what it was trained on.
            noise: standard normal numbers of the shape of the images, fresh at each call; the first are the start.
            after_step: called with (number of calls so far, x, prediction) after every step.
        """
        times = self.times(schedule)
        at = schedule.marginal(times)
        x = schedule.prior_std * noise()
        for i in range(len(times)):
            prediction = denoise(x, times[i].expand(len(x)))
            if self.clip:
                prediction = prediction.with_x0(prediction.x0.clamp(-1, 1), x)
            if i == len(times) - 1:
                x = prediction.x0
            else:
                at_t, at_s = (Marginal(*(c[j] for c in at)) for j in (i, i + 1))
                x = self.step(x, prediction, Step(at_s, at_t, between(at_s, at_t)), noise)
            if after_step is not None:
                after_step(i + 1, x, prediction)
        return x
