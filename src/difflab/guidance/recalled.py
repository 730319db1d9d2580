"""Self-conditioning: a network that is told an earlier estimate of x_0 (Chen et al., 2023, section 3.2)."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from difflab.condition import Condition
from difflab.guidance.given import Given, View
from difflab.prediction import Denoiser, Prediction
from difflab.schedules import Marginal


def known(denoise: Denoiser, condition: Condition | None) -> Condition:
    """The condition that a call of `denoise` answers under."""
    if condition is not None:
        return condition
    return denoise.condition if isinstance(denoise, Given) else Condition()


class Recalled(View):
    """In training: some examples are answered with the estimate of a first call, through which no gradient flows.

    Args:
        denoise: which network, maybe told a condition.
        told: which examples; the others are told of no estimate.
    """

    def __init__(self, denoise: Denoiser, told: Bool[Tensor, " batch"]) -> None:
        super().__init__(denoise)
        self.told = told

    def forward(
        self,
        x: Float[Tensor, "batch *shape"],
        t: Float[Tensor, " batch"],
        at: Marginal | None = None,
        condition: Condition | None = None,
    ) -> Prediction:
        condition = known(self.denoise, condition)
        with torch.no_grad():
            first = self.denoise(x, t, at, condition).x0
        rows = self.told.to(x.device).reshape(-1, *[1] * (x.dim() - 1))
        return self.denoise(x, t, at, replace(condition, x0=first * rows))


class Remembering(View):
    """In sampling: each call is told the estimate of the call before, for one batch on its way to images.

    Args:
        denoise: which network, maybe told a condition.
    """

    def __init__(self, denoise: Denoiser) -> None:
        super().__init__(denoise)
        self.before: Tensor | None = None

    def forward(
        self,
        x: Float[Tensor, "batch *shape"],
        t: Float[Tensor, " batch"],
        at: Marginal | None = None,
        condition: Condition | None = None,
    ) -> Prediction:
        prediction = self.denoise(x, t, at, replace(known(self.denoise, condition), x0=self.before))
        self.before = prediction.x0
        return prediction
