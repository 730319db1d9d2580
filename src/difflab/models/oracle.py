"""The exact denoiser of a known distribution, in the place of a network."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.distributions import Distribution
from difflab.prediction import Parameterisation
from difflab.process import expand
from difflab.schedules import Marginal, Schedule


class Oracle(nn.Module):
    """network(x, c_noise) whose `Denoiser` answers E[x_0 | x_t] exactly: what a sampler does without any model error.

    It is told the marginal itself as c_noise, and solves the row of its prediction for the output:
    F = (x0_hat - c_skip x_t) / c_out. It has no parameters, and nothing to save.

    Args:
        distribution: of x_0.
        parameterisation: the prediction of the `Denoiser` that it serves; where alpha = 0, one that has an x0 there.
    """

    def __init__(self, distribution: Distribution, parameterisation: Parameterisation) -> None:
        super().__init__()
        self.distribution = distribution
        self.parameterisation = parameterisation

    def c_noise(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch 3"]:
        """alpha, sigma and log_snr of each time, float64."""
        return torch.stack(schedule.marginal(t), dim=1)

    def forward(self, x: Float[Tensor, "batch *shape"], c_noise: Float[Tensor, "batch 3"]) -> Tensor:
        at = Marginal(*c_noise.unbind(1))
        wide = x.double()
        c_skip, c_out, c_in = (expand(c, wide) for c in self.parameterisation.row(at))
        x_t = wide / c_in
        return ((self.distribution.x0_hat(x_t, at) - c_skip * x_t) / c_out).to(x.dtype)


class DataOracle(Oracle):
    """The oracle of a distribution that is made from the training images.

    Args:
        distribution: called with the images.
        images: [N, *shape], in the range that the model works in.
        parameterisation: as in `Oracle`.
    """

    def __init__(
        self,
        distribution: Callable[[Tensor], Distribution],
        images: Float[Tensor, "N *shape"],
        parameterisation: Parameterisation,
    ) -> None:
        super().__init__(distribution(images), parameterisation)
