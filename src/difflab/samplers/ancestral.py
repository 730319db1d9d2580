"""Ancestral sampling: the reverse chain of DDPM."""

from torch import Tensor

from difflab.prediction import Prediction
from difflab.process import Variance
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step


class Ancestral(Sampler):
    """x_s ~ N(mean of q(x_s | x_t, x0_hat), variance) (Ho et al., 2020, Algorithm 2), on any sub-grid.

    Args:
        grid, steps, clip: as for every sampler.
        variance: of the reverse step.
    """

    def __init__(self, grid: Grid, steps: int | None, clip: bool | float, variance: Variance) -> None:
        super().__init__(grid, steps, clip)
        self.variance = variance

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        q = step.transition
        mean = float(q.of_xt) * x + float(q.of_x0) * prediction.x0
        return mean + self.variance(q, prediction.extra).sqrt().to(x) * noise().to(x)
