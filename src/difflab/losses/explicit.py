"""Explicit score matching, where the score of the data is known."""

from copy import deepcopy

import torch
from torch import Tensor

from difflab.distributions import Distribution
from difflab.losses.noised import Noised
from difflab.losses.score import Score
from difflab.process import expand
from difflab.schedules import Schedule


class Explicit(Score):
    """sigma^power / 2 |s(x_t) - grad log q(x_t)|^2 with the exact score of the data at this noise level.

    The objective that all others stand for (Hyvarinen, 2005, Eq. 2): denoising score matching differs from it by a
    constant (Vincent, 2011, appendix), and by more variance.

    Args:
        power: of sigma.
        distribution: the law of x_0; None where it is not known, and nothing can be computed.
    """

    def __init__(self, power: float, distribution: Distribution | None = None) -> None:
        super().__init__(power)
        self.distribution = deepcopy(distribution)  # its own: it moves to the device of the examples

    @torch.no_grad()
    def target(self, noised: Noised, schedule: Schedule) -> Tensor:
        if self.distribution is None:
            raise ValueError("loss: explicit needs a distribution; allowed are implicit, sliced, sliced_vr, score")
        at, law = schedule.marginal(noised.t), self.distribution.to(noised.x_t.device)
        return -expand(at.sigma, noised.x_t) * law.score(noised.x_t, at)
