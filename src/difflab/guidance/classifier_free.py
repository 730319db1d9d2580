"""Classifier-free guidance: away from what the network says when it is told nothing."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.condition import Condition, Conditioning, Unconditional, joined
from difflab.guidance.given import View
from difflab.prediction import Denoiser, Prediction
from difflab.process import expand
from difflab.schedules import Marginal


def rescaled(
    guided: Float[Tensor, "batch *shape"], told: Float[Tensor, "batch *shape"], share: float
) -> Float[Tensor, "batch *shape"]:
    """Guided outputs moved towards the standard deviation that each output has unguided (Lin et al., 2024, Eq. 15-16).

    Args:
        guided: of outputs without any spread there is nothing to move.
        told: outputs under the condition.
        share: of the way.
    """
    std, aim = (expand(output.flatten(1).std(1), guided) for output in (guided, told))
    return guided * torch.where(std > 0, share * aim / std + 1 - share, 1)


class Guided(View):
    """F = F_untold + scale (F_told - F_untold) at the noise levels of an interval, F_told at the others.

    All predictions are affine in the network's output F with the same coefficients for both, so that mixing F mixes
    eps, x_0, v and the score alike. Outputs beside F are those of the told call.

    Args:
        denoise: the network, told a condition.
        scale: 1 for no guidance.
        sigma_min, sigma_max: ends of the interval of sigma/alpha, both included.
        rescale: share of the way back to the spread of F_told.
    """

    def __init__(self, denoise: Denoiser, scale: float, sigma_min: float, sigma_max: float, rescale: float) -> None:
        super().__init__(denoise)
        self.scale, self.rescale = scale, rescale
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.guided = 0

    @property
    def calls_beside(self) -> int:
        """One for each call that was guided: an example then is in the batch twice."""
        return self.guided + super().calls_beside

    def forward(
        self,
        x: Float[Tensor, "batch *shape"],
        t: Float[Tensor, " batch"],
        at: Marginal | None = None,
        condition: Condition | None = None,
    ) -> Prediction:
        """The guided prediction, by one call of the network on a batch of twice the size; the plain one elsewhere."""
        condition = self.given if condition is None else condition
        at = self.schedule.marginal(t) if at is None else at
        level = at.sigma / at.alpha
        within = (level >= self.sigma_min) & (level <= self.sigma_max)
        if self.scale == 1 or not within.any():
            return self.denoise(x, t, at, condition)
        twice = Marginal(*(c if c.numel() == 1 else torch.cat([c, c]) for c in at))
        both = self.denoise(torch.cat([x, x]), torch.cat([t, t]), twice, joined(condition, condition.without()))
        self.guided += 1
        told, untold = both.output.chunk(2)
        guided = untold + self.scale * (told - untold)
        if self.rescale > 0:
            guided = rescaled(guided, told, self.rescale)
        output = torch.where(expand(within.to(level), x) > 0, guided, told)
        beside = [] if both.extra is None else [both.extra[: len(x)]]
        return self.read(torch.cat([output, *beside], 1), x, at)


class ClassifierFree:
    """score = score_untold + scale (score_told - score_untold): the score of p(x_t) p(c | x_t)^scale.

    0 is the unconditional model, 1 the conditional one; Ho & Salimans (2022, Eq. 6) write 1 + w for the scale.

    Args:
        scale: number from 0.
        sigma_min, sigma_max: guide only where sigma/alpha lies in between (Kynkaanniemi et al., 2024).
        rescale: in [0, 1]: share of the way back to the standard deviation of the unguided output, against images that
            are too bright (Lin et al., 2024, section 3.4).

    Raises:
        ValueError: for values outside these ranges.
    """

    def __init__(self, scale: float, sigma_min: float, sigma_max: float, rescale: float) -> None:
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"guidance.scale: {scale}; allowed are numbers from 0; 1 is no guidance")
        if not 0 <= sigma_min < sigma_max:
            raise ValueError(
                f"guidance.sigma_min: {sigma_min}; allowed are numbers from 0 to below sigma_max: {sigma_max}"
            )
        if not 0 <= rescale <= 1:
            raise ValueError(f"guidance.rescale: {rescale}; allowed are numbers from 0 to 1")
        self.scale, self.rescale = scale, rescale
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def check(self, conditioning: Conditioning) -> None:
        """Whether a network that was trained so can be guided.

        Raises:
            ValueError: where it is told nothing, and where there is no example of which it was told nothing.
        """
        if isinstance(conditioning, Unconditional):
            raise ValueError("guidance: classifier_free; the network is told no condition: allowed is none")
        if conditioning.drop == 0 and self.scale != 1:
            raise ValueError(
                f"guidance.scale: {self.scale}; the network was trained with condition.drop=0, always told the "
                "condition: allowed is 1"
            )

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The guided denoiser; of a network that is told its own estimates, within `Remembering`."""
        return Guided(denoise, self.scale, self.sigma_min, self.sigma_max, self.rescale)
