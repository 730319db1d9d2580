"""The loop that every sampler shares."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser, Prediction
from difflab.process import Transition, between
from difflab.samplers.grid import Grid
from difflab.samplers.threshold import Threshold, threshold
from difflab.schedules import Marginal, Schedule

Noise = Callable[[], Tensor]


class Visit(NamedTuple):
    """A time at which the network was called: its marginal, the state there, and what the network said of it."""

    at: Marginal
    x: Tensor
    prediction: Prediction


class Step(NamedTuple):
    """One step of the loop, from the time t to the time s (earlier, unless images are encoded).

    Attributes:
        at_s, at_t: marginals of the two times.
        t, s: the times, float64.
        number: of the step, from 0.
        steps: network calls of the loop, the last denoising included.
        past: the visits so far, the newest last: that of t. A sampler may correct the state it holds.
        walk: for further network calls: `walk.call(x, time)`.
    """

    at_s: Marginal
    at_t: Marginal
    t: Tensor
    s: Tensor
    number: int
    steps: int
    past: list[Visit]
    walk: "Walk"

    @property
    def transition(self) -> Transition:
        """q between the two times."""
        return between(self.at_s, self.at_t)


class State(NamedTuple):
    """What a watcher of the loop is told.

    Attributes:
        calls: network calls so far.
        share: of the way, in [0, 1].
        t: the time of `x`; None for finished images.
        x: the images.
        prediction: the newest.
    """

    calls: int
    share: float
    t: float | None
    x: Tensor
    prediction: Prediction


Watch = Callable[[State], None]


class Walk:
    """One pass of a sampler: the denoiser with its threshold, counting calls, and whoever watches.

    Args:
        denoise: the denoiser.
        schedule: what it was trained on.
        threshold: what is done to x0_hat, with eps recomputed from it; None for nothing.
        watch: told of every step.
    """

    def __init__(self, denoise: Denoiser, schedule: Schedule, threshold: Threshold | None, watch: Watch | None) -> None:
        self.denoise, self.schedule, self.threshold, self.watch = denoise, schedule, threshold, watch
        self.calls = 0

    def call(self, x: Tensor, t: Tensor, at: Marginal | None = None) -> Prediction:
        """The prediction at x, all of it at the time t; `at` is the marginal there, where the caller has it."""
        self.calls += 1
        self.newest = self.denoise(x, t.expand(len(x)), at)
        if self.threshold is not None:
            self.newest = self.newest.with_x0(self.threshold(self.newest.x0), x)
        return self.newest

    def tell(self, x: Tensor, t: Tensor | None, share: float) -> None:
        """Let the watcher know."""
        if self.watch is not None:
            self.watch(State(self.calls, share, None if t is None else float(t), x, self.newest))


class Sampler(ABC):
    """From noise to images along a falling grid of times.

    Args:
        grid: where the network is called.
        steps: how many times; None for all steps of the chain or levels of the ladder.
        clip: whether x0_hat is clipped to [-1, 1]; a number between 0 and 1 is the percentile of dynamic thresholding.

    Attributes:
        deterministic: whether images are a function of the start, so that they can be encoded.
    """

    deterministic = False

    def __init__(self, grid: Grid, steps: int | None, clip: bool | float) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"sampler.steps: {steps}; allowed are whole numbers from 1")
        self.grid, self.steps, self.threshold = grid, steps, threshold(clip)

    @abstractmethod
    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        """x_s from x_t and the prediction at x_t."""

    def times(self, schedule: Schedule) -> Float[Tensor, " steps"]:
        """The grid for this schedule.

        Raises:
            ValueError: where the steps do not fit the schedule.
        """
        steps = next((n for n in (self.grid.steps, self.steps, schedule.T, schedule.L) if n is not None), None)
        if steps is None:
            raise ValueError("sampler.steps: null means all T steps of a chain; this schedule has none: give a number")
        return self.grid(schedule, steps)

    def calls(self, schedule: Schedule) -> int | None:
        """Network calls for a sample; None for a solver that chooses its own steps."""
        return len(self.times(schedule))

    def check_start(self, schedule: Schedule) -> None:
        """Whether noise as wide as the prior is what the schedule has at the first time of the grid.

        Raises:
            ValueError: for a first time below 1 on a schedule that does not preserve the variance.
        """
        first = float(self.times(schedule)[0])
        with torch.no_grad():
            alpha, sigma, _ = schedule.marginal(torch.tensor(first, dtype=torch.float64))
        if first < 1 and abs(float(alpha**2 + sigma**2) - 1) > 1e-6:
            raise ValueError(
                f"grid.times: the first is {first:g}; allowed is 1: elsewhere the noise is not as wide as the prior"
            )

    def sample(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        noise: Noise,
        watch: Watch | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """Images, of the shape of what `noise` returns; the last call denoises to data.

        Args:
            denoise: the denoiser.
            schedule: what it was trained on.
            noise: standard normal numbers of the shape of the images, fresh at each call; the first are the start.
            watch: told of every step.
            start: the state at the first time of the grid, such as a code of `encode`; None draws it from the prior.
        """
        times = self.times(schedule)
        walk = Walk(denoise, schedule, self.threshold, watch)
        x = schedule.prior_std * noise() if start is None else start
        x = self.travel(walk, x, times, noise)
        x = walk.call(x, times[-1]).x0
        walk.tell(x, None, 1.0)
        return x

    def trajectory(self, denoise: Denoiser, schedule: Schedule, noise: Noise) -> list[State]:
        """Every state on the way, the images last."""
        states: list[State] = []
        self.sample(denoise, schedule, noise, states.append)
        return states

    def travel(self, walk: Walk, x: Tensor, times: Float[Tensor, " steps"], noise: Noise) -> Tensor:
        """The state at the last of `times` from the state at the first."""
        at = walk.schedule.marginal(times)
        past: list[Visit] = []
        for i in range(len(times) - 1):
            at_t, at_s = (Marginal(*(c[j] for c in at)) for j in (i, i + 1))
            past.append(Visit(at_t, x, walk.call(x, times[i], at_t)))
            step = Step(at_s, at_t, times[i], times[i + 1], i, len(times), past, walk)
            x = self.step(x, past[-1].prediction, step, noise)
            del past[:-3]  # no method of the field looks further back
            walk.tell(x, times[i + 1], (i + 1) / len(times))
        return x


def encode(sampler: Sampler, denoise: Denoiser, schedule: Schedule, x0: Tensor, watch: Watch | None = None) -> Tensor:
    """The codes from which `sampler.sample(..., start=codes)` makes these images (Song et al., 2021, section 4.3).

    Data is taken to t_min as alpha x_0 + sigma eps_hat(x_0), and from there along the rising grid.

    Raises:
        ValueError: for a sampler that draws noise on its way.
    """
    if not sampler.deterministic:
        raise ValueError(
            "sampler: this one draws noise on its way; allowed are ddim with eta 0, heun without churn, ode and the "
            "solvers that are not stochastic"
        )
    times = sampler.times(schedule).flip(0)
    walk = Walk(denoise, schedule, None, watch)
    first = walk.call(x0, times[0])
    x = first.alpha * x0 + first.sigma * first.eps
    return sampler.travel(walk, x, times, lambda: torch.zeros_like(x0))


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation between codes, [len(share), *shape] (Shoemake, 1985; Song et al., 2021, section 5.3).

    Args:
        a, b: codes, [*shape].
        share: of b, in [0, 1], [n].
    """
    share = share.double()
    cosine = (a.double() * b.double()).sum() / (a.double().norm() * b.double().norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if float(angle.sin()) < 1e-7:
        of_a, of_b = 1 - share, share
    else:
        of_a, of_b = (((1 - share) * angle).sin() / angle.sin()), ((share * angle).sin() / angle.sin())
    shape = (-1, *[1] * a.dim())
    return of_a.reshape(shape).to(a) * a + of_b.reshape(shape).to(a) * b
