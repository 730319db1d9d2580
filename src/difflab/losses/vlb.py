"""The variational bound as a loss."""

from jaxtyping import Float
from torch import Tensor

from difflab.likelihood.bound import Bound
from difflab.losses.noised import Noised
from difflab.prediction import Denoiser
from difflab.process import Variance
from difflab.schedules import Schedule


class Vlb:
    """T times the term of the drawn step, so that its mean over uniform steps is the bound (Ho et al., 2020, Eq. 5).

    In bits per dimension, without the prior term, which has nothing to train. The KL of the reverse step for k >= 2,
    the discretised decoder for k = 1; x0_hat is not clipped.

    Args:
        variance: of the reverse step.
        levels: how many values a pixel of the data can take.
    """

    def __init__(self, variance: Variance, levels: int) -> None:
        self.variance, self.levels = variance, levels

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        bound = Bound(schedule, self.variance, clip=False, levels=self.levels)
        k = (noised.t * bound.T).round().long()
        return (bound.T * bound.terms(noised.x0, denoise(noised.x_t, noised.t).x0, k)).to(noised.x0.dtype)
