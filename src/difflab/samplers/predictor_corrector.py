"""Predictor-corrector sampling: a reverse step, then Langevin steps at the level it reached."""

from torch import Tensor

from difflab.prediction import Prediction
from difflab.process import Variance
from difflab.samplers.ancestral import Ancestral
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Step
from difflab.schedules import Schedule


class PredictorCorrector(Ancestral):
    """Ancestral steps, each followed by corrections x <- x + a score + sqrt(2 a) z (Song et al., 2021, Algorithm 1).

    a = 2 (snr |z|/|score|)^2 (their appendix G) with both norms replaced by what they are expected to be, sqrt(D) and
    sqrt(D)/sigma: a = 2 (snr sigma)^2, so that a sample does not depend on those that are drawn beside it.

    Args:
        grid, steps, clip: as for every sampler.
        variance: of the reverse step.
        corrections: after each reverse step.
        snr: of a correction, the length of its drift over that of its noise; from 1 on corrections diverge.

    Raises:
        ValueError: for a negative number of corrections, and an snr outside (0, 1).
    """

    def __init__(
        self, grid: Grid, steps: int | None, clip: bool | float, variance: Variance, corrections: int, snr: float
    ) -> None:
        super().__init__(grid, steps, clip, variance)
        if corrections < 0:
            raise ValueError(f"sampler.corrections: {corrections}; allowed are whole numbers from 0")
        if not 0 < snr < 1:
            raise ValueError(f"sampler.snr: {snr}; allowed are numbers between 0 and 1")
        self.corrections, self.snr = corrections, snr

    def calls(self, schedule: Schedule) -> int:
        return (len(self.times(schedule)) - 1) * (1 + self.corrections) + 1

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        x = super().step(x, prediction, step, noise)
        drift, std = 2 * self.snr**2 * float(step.at_s.sigma), 2 * self.snr * float(step.at_s.sigma)
        for _ in range(self.corrections):
            x = x - drift * step.walk.call(x, step.s).eps + std * noise().to(x)
        return x
