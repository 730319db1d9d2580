"""DDIM: the non-Markov family whose noise is a choice."""

from torch import Tensor

from difflab.prediction import Prediction
from difflab.process import Analytic, Variance
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step


class DDIM(Sampler):
    """x_s = alpha_s x0_hat + sqrt(sigma_s^2 - n^2) eps_hat + n z (Song et al., 2021, Eq. 12).

    n^2 is eta^2 times the posterior variance: eta = 0 is deterministic, eta = 1 is ancestral sampling. With
    variance=analytic z has the best variance for that mean instead (Bao et al., 2022, Analytic-DPM, Eq. 9); the other
    variances have no say here.

    Args:
        grid, steps, clip: as for every sampler.
        eta: in [0, 1].
        variance: whose correction is added to n^2.

    Raises:
        ValueError: for an eta outside [0, 1].
    """

    def __init__(self, grid: Grid, steps: int | None, clip: bool | float, eta: float, variance: Variance) -> None:
        super().__init__(grid, steps, clip)
        if not 0 <= eta <= 1:
            raise ValueError(f"sampler.eta: {eta}; allowed are numbers from 0 to 1")
        self.eta, self.variance = eta, variance

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        return self.eta == 0 and not isinstance(self.variance, Analytic)

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        own = self.eta**2 * step.transition.posterior_var if self.eta > 0 else 0 * step.at_s.sigma
        of_eps = (step.at_s.sigma**2 - own).clamp(min=0).sqrt()
        x_s = float(step.at_s.alpha) * prediction.x0 + float(of_eps) * prediction.eps
        slope = step.at_s.alpha - of_eps * step.at_t.alpha / step.at_t.sigma
        std = (own + self.variance.correction(step.at_t.log_snr, slope)).sqrt()
        return x_s + float(std) * noise().to(x) if std > 0 else x_s
