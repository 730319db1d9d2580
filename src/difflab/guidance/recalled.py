"""Self-conditioning: a network that is told an earlier estimate of x_0 (Chen et al., 2023, section 3.2)."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from difflab.condition import Condition
from difflab.guidance.given import View
from difflab.prediction import Denoiser, Prediction
from difflab.schedules import Marginal


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
        condition = self.given if condition is None else condition
        with torch.no_grad():
            first = self.denoise(x, t, at, condition).x0
        rows = self.told.to(x.device).reshape(-1, *[1] * (x.dim() - 1))
        return self.denoise(x, t, at, replace(condition, x0=first * rows))


class Remembering(View):
    """In sampling: each call is told the estimate of the call before, for one batch on its way to images.

    Around a guided denoiser it is the guided estimate that both calls of the network are told.

    The answer depends on the call before, so that it is no right-hand side of an equation: samplers that solve one in
    steps of their own choice are refused, and bits per dimension, codes and their images are those of the network that
    is told no estimate.

    Args:
        denoise: which network, maybe told a condition, maybe guided.
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
        condition = self.given if condition is None else condition
        prediction = self.denoise(x, t, at, replace(condition, x0=self.before))
        self.before = prediction.x0
        return prediction
