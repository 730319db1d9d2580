"""Annealed Langevin dynamics: NCSN's sampler."""

from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser, Prediction
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step, Walk, Watch
from difflab.schedules import Marginal, Schedule, ncsnv2


class Langevin(Sampler):
    """At each level s_i, `inner` times y <- y + a_i score(y) + sqrt(2 a_i) z with a_i = step_size s_i^2; then denoise.

    Algorithm 1 of Song & Ermon (2020) with their last denoising. y = x/alpha is data with noise of s = sigma/alpha on
    any schedule, and score(y) = -eps_hat/s, so that in x: x <- x - step_size sigma eps_hat + sqrt(2 step_size) sigma z.

    Their a_i = eps (s_i/s_L)^2, so step_size = eps/s_L^2 has no unit. Algorithm 1 of Song & Ermon (2019) steps
    a_i/2 score + sqrt(a_i) z: its eps is twice this one.

    On data of standard deviation sd a step multiplies the distance from the mean by 1 - a/(s^2 + sd^2), which stays
    within (-1, 1) for every sd, 0 included, if and only if step_size < 2.

    Args:
        grid, steps, clip: as for every sampler; null steps are all levels of a ladder.
        inner: steps at each level.
        step_size: a_i in units of s_i^2; None for Technique 4, on levels of one ratio.
        calls: network calls for a sample, in the place of `inner`: as many steps at each level as fit; None for inner.
        denoise: whether the last noise is taken off; without, each mode is wider by the variance of the last level.

    Raises:
        ValueError: for fewer than one inner step, and step sizes that diverge; when called, where alpha is 0, for
            calls that do not suffice, and for levels without a common ratio where Technique 4 is asked for.
    """

    def __init__(
        self,
        grid: Grid,
        steps: int | None,
        clip: bool | float,
        inner: int,
        step_size: float | None,
        calls: int | None,
        denoise: bool,
    ) -> None:
        super().__init__(grid, steps, clip)
        if inner < 1:
            raise ValueError(f"sampler.inner: {inner}; allowed are whole numbers from 1")
        if step_size is not None and not 0 < step_size < 2:
            raise ValueError(f"sampler.step_size: {step_size}; allowed are numbers between 0 and 2: others diverge")
        self.inner, self.step_size, self.budget, self.denoise = inner, step_size, calls, denoise

    def times(self, schedule: Schedule) -> Float[Tensor, " steps"]:
        times = super().times(schedule)
        absent = times[schedule.marginal(times).alpha == 0]
        if len(absent):
            raise ValueError(
                f"sampler: langevin moves data with added noise, and at t = {float(absent[0]):g} alpha is 0, there is "
                "no data in x: use a schedule with alpha > 0"
            )
        return times

    def check_start(self, schedule: Schedule) -> None:
        """Any start will do: the steps of a level forget it."""

    def plan(self, schedule: Schedule) -> tuple[int, float]:
        """Steps at each level, and their size in units of s_i^2: what was given, and the rest solved for."""
        times = self.times(schedule)
        inner = self.inner
        if self.budget is not None:
            inner, least = (self.budget - self.denoise) // len(times), len(times) + self.denoise
            if inner < 1:
                raise ValueError(
                    f"sampler.calls: {self.budget}; allowed are whole numbers from {least}, a step at each level"
                )
        if self.step_size is not None:
            return inner, self.step_size
        gaps = schedule.marginal(times).log_snr.diff() / 2
        if len(gaps) == 0 or gaps.max() - gaps.min() > 1e-4 * gaps.max():
            raise ValueError(
                "sampler.step_size: null; Technique 4 solves it for levels of one ratio, and these have none in "
                "common: allowed are numbers between 0 and 2, or schedule=geometric"
            )
        return inner, ncsnv2.step_size(float(gaps.mean().exp()), inner)

    def calls(self, schedule: Schedule) -> int:
        return len(self.times(schedule)) * self.plan(schedule)[0] + self.denoise

    def sample(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        noise: Noise,
        watch: Watch | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        if self.denoise:
            return super().sample(denoise, schedule, noise, watch, start)
        walk = Walk(denoise, schedule, self.threshold, watch)
        x = schedule.prior_std * noise() if start is None else start
        x = self.travel(walk, x, self.times(schedule), noise)
        walk.tell(x, None, 1.0)
        return x

    def travel(self, walk: Walk, x: Tensor, times: Float[Tensor, " steps"], noise: Noise) -> Tensor:
        x = super().travel(walk, x, times, noise)
        x = self.stay(walk, x, walk.call(x, times[-1]), walk.schedule.marginal(times[-1]), times[-1], noise)
        walk.tell(x, times[-1], 1 - 1 / (walk.calls + 1))
        return x

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        x = self.stay(step.walk, x, prediction, step.at_t, step.t, noise)
        return float(step.at_s.alpha / step.at_t.alpha) * x

    def stay(self, walk: Walk, x: Tensor, prediction: Prediction, at: Marginal, t: Tensor, noise: Noise) -> Tensor:
        """The Langevin steps of one level, from the prediction at its x."""
        inner, size = self.plan(walk.schedule)
        for number in range(inner):
            if number > 0:
                prediction = walk.call(x, t)
            x = moved(x, prediction, size, at, noise)
        return x


def moved(x: Tensor, prediction: Prediction, size: float, at: Marginal, noise: Noise) -> Tensor:
    """x after one step of Langevin dynamics, of this size in units of s^2."""
    return x - size * float(at.sigma) * prediction.eps + (2 * size) ** 0.5 * float(at.sigma) * noise().to(x)
