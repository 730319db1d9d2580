"""DDIM: the non-Markov family whose noise is a choice."""

from torch import Tensor

from difflab.prediction import Prediction
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step


class DDIM(Sampler):
    """x_s = alpha_s x0_hat + sqrt(sigma_s^2 - n^2) eps_hat + n z (Song et al., 2021, Eq. 12).

    n^2 is eta^2 times the posterior variance: eta = 0 is deterministic, eta = 1 is ancestral sampling.

    Args:
        grid, steps, clip: as for every sampler.
        eta: in [0, 1].

    Raises:
        ValueError: for an eta outside [0, 1].
    """

    def __init__(self, grid: Grid, steps: int | None, clip: bool, eta: float) -> None:
        super().__init__(grid, steps, clip)
        if not 0 <= eta <= 1:
            raise ValueError(f"sampler.eta: {eta}; allowed are numbers from 0 to 1")
        self.eta = eta

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        variance = self.eta**2 * step.transition.posterior_var
        of_eps = (step.at_s.sigma**2 - variance).clamp(min=0).sqrt()
        x_s = float(step.at_s.alpha) * prediction.x0 + float(of_eps) * prediction.eps
        return x_s + float(variance.sqrt()) * noise().to(x) if self.eta > 0 else x_s
