"""The second-order sampler of EDM, with its churn."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Prediction
from difflab.process import between
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step, Visit, Walk
from difflab.schedules import Marginal, Schedule

# A trapezoid in s is worse than Euler's step where s falls to less than half in noise that hides the image, and without
# bound in the first step of a schedule that ends near alpha = 0. From here on an image of unit size is hidden entirely.
PURE_NOISE = 1e3


class Heun(Sampler):
    """Karras et al. (2022), Algorithm 2: Heun's rule for dx/ds = eps_hat in x/alpha and s = sigma/alpha.

    Any schedule, its time mapped to s. Where alpha is 0, or s above `PURE_NOISE`, a step is Euler's, which is DDIM's
    and finite. Before a step with s in [churn_min, churn_max] noise is added up to s (1 + gamma), with
    gamma = min(churn / steps, sqrt(2) - 1); never beyond s(1), where no network was trained, and not before the last
    denoising. 2 steps - 1 calls, less one for each of Euler's steps.

    Args:
        grid, steps, clip: as for every sampler.
        churn: S_churn, from 0, which is deterministic.
        churn_min, churn_max: S_min and S_max, in units of s.
        churn_noise: S_noise, standard deviation of the added noise relative to what the level asks for.

    Raises:
        ValueError: for a negative churn, churn_min or churn_noise, and a churn_max below churn_min.
    """

    def __init__(
        self,
        grid: Grid,
        steps: int | None,
        clip: bool | float,
        churn: float,
        churn_min: float,
        churn_max: float,
        churn_noise: float,
    ) -> None:
        super().__init__(grid, steps, clip)
        for field, value in (("churn", churn), ("churn_min", churn_min), ("churn_noise", churn_noise)):
            if not 0 <= value < math.inf:
                raise ValueError(f"sampler.{field}: {value}; allowed are numbers from 0")
        if not churn_max >= churn_min:
            raise ValueError(
                f"sampler.churn_max: {churn_max}; allowed are numbers from sampler.churn_min = {churn_min}"
            )
        self.churn, self.churn_min, self.churn_max, self.churn_noise = churn, churn_min, churn_max, churn_noise

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        return self.churn == 0

    def calls(self, schedule: Schedule) -> int:
        times = self.times(schedule)
        return len(times) + int(
            (noise_to_signal(schedule.marginal(self.churned(schedule, times)))[:-1] <= PURE_NOISE).sum()
        )

    def churned(self, schedule: Schedule, times: Float[Tensor, " steps"]) -> Float[Tensor, " steps"]:
        """The times to which noise is added before each step: `times` themselves where there is none."""
        at = schedule.marginal(times)
        s = noise_to_signal(at)
        gamma = min(self.churn / len(times), math.sqrt(2) - 1)
        raised = torch.maximum(schedule.time(at.log_snr - 2 * math.log1p(gamma)), times)
        return torch.where((self.churn_min <= s) & (s <= self.churn_max), raised, times) if gamma > 0 else times

    def travel(self, walk: Walk, x: Tensor, times: Float[Tensor, " steps"], noise: Noise) -> Tensor:
        noisier = self.churned(walk.schedule, times)
        at, at_noisier = walk.schedule.marginal(times), walk.schedule.marginal(noisier)
        for i in range(len(times) - 1):
            at_t, at_s = Marginal(*(c[i] for c in at_noisier)), Marginal(*(c[i + 1] for c in at))
            if noisier[i] > times[i]:
                q = between(Marginal(*(c[i] for c in at)), at_t)
                x = float(q.alpha_ts) * x + self.churn_noise * float(q.var_ts.sqrt()) * noise().to(x)
            visit = Visit(at_t, x, walk.call(x, noisier[i]))
            step = Step(at_s, at_t, noisier[i], times[i + 1], i, len(times), [visit], walk)
            x = self.step(x, visit.prediction, step, noise)
            walk.tell(x, times[i + 1], (i + 1) / len(times))
        return x

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        euler = float(step.at_s.alpha) * prediction.x0 + float(step.at_s.sigma) * prediction.eps
        s_t, s_s = noise_to_signal(step.at_t), noise_to_signal(step.at_s)
        if max(s_t, s_s) > PURE_NOISE:
            return euler
        again = step.walk.call(euler, step.s)
        return euler + float(step.at_s.alpha * (s_s - s_t)) / 2 * (again.eps - prediction.eps)


def noise_to_signal(at: Marginal) -> Tensor:
    """s = sigma / alpha; infinite where alpha is 0."""
    return at.sigma / at.alpha
