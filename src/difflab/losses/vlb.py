"""The variational bound as a loss."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.likelihood.bound import Bound
from difflab.likelihood.continuous import ContinuousBound
from difflab.losses.noised import Noised
from difflab.prediction import Denoiser, Prediction
from difflab.process import Posterior, Variance, transition
from difflab.schedules import Learned, Schedule


class Vlb:
    """What each time adds to the bound, so that the mean over uniform times is the bound, in bits per dimension.

    On a schedule of T steps: T times the term of the drawn step (Ho et al., 2020, Eq. 5), the KL of the reverse step
    for k >= 2, the discretised decoder for k = 1. In continuous time: the integrand of Kingma et al. (2021), Eq. 18.
    x0_hat is not clipped. Terms with nothing to train are left out: the prior, and in continuous time the
    reconstruction. A schedule with something to train gets both, and the scale of its gradients (schedules.Learned).

    Args:
        variance: of the reverse steps; continuous time has none to choose.
        levels: how many values a pixel of the data can take.
    """

    def __init__(self, variance: Variance, levels: int) -> None:
        self.variance, self.levels = variance, levels

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        return self.of(denoise(noised.x_t, noised.t), noised, schedule).to(noised.x0.dtype)

    def of(self, prediction: Prediction, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        """The same of a prediction that is there already, float64."""
        if schedule.T is None:
            return self._continuous(prediction, noised, schedule)
        bound = Bound(schedule, self.variance, clip=False, levels=self.levels)
        k = (noised.t * bound.T).round().long()
        return bound.T * bound.terms(noised.x0, prediction.x0, k, prediction.extra)

    def _continuous(self, prediction: Prediction, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        bound = ContinuousBound(schedule, self.levels, clip=False)
        bits = bound.density(noised.x0, prediction.x0, noised.t)
        if any(p.requires_grad for p in schedule.parameters()):
            bits = bits + bound.prior(noised.x0) + bound.reconstruction(noised.x0, noised.eps)
            for part in schedule.modules():  # a warp holds the learned schedule that it changes
                if isinstance(part, Learned):
                    part.interior_scale = 2 * bits.detach()
        return bits

    @torch.no_grad()
    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """What the error in eps is multiplied by, float64; infinite where alpha = 0.

        A learned variance counts as the posterior one. At k = 1 the decoder stands for a Gaussian density, whose
        error never saturates as that of a level does: it is held to 4 times the weight of k = 2. That shapes the
        density of times=weighted and nothing else, so it need not be exact.
        """
        schedule = denoise.schedule
        if schedule.T is None:
            return -0.5 * (1 - schedule.t_min) * schedule.slope(t) / math.log(2)
        variance = Posterior() if self.variance.outputs else self.variance
        k = (t * schedule.T).round()
        after = k.clamp(min=2) / schedule.T
        step = transition(schedule, after - 1 / schedule.T, after)
        weight = step.of_x0**2 / (2 * variance(step, None)) * torch.exp(-step.log_snr)
        first = Bound(schedule, variance, clip=False, levels=self.levels).first
        decoder = torch.exp(-first.log_snr) / (2 * variance.decoder(first, None))
        weight = torch.where(k == 1, torch.minimum(decoder.to(weight), 4 * weight), weight)
        return schedule.T * weight / math.log(2)
