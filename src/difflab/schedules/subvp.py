"""The sub-VP SDE."""

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.schedules.schedule import Marginal
from difflab.schedules.vp import VP


class SubVP(VP):
    """The alpha of `VP` with sigma = 1 - alpha^2, not its square root: less noise at every time (Song et al., 2021).

    Their Eq. 29; beta_min, beta_max and t_min as in `VP`. With alpha = e^m, alpha/sigma = 1/(2 sinh(-m)).
    """

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        log_alpha = self.log_alpha(t)
        sigma = -torch.expm1(2 * log_alpha)
        return Marginal(log_alpha.exp(), sigma, 2 * (log_alpha - sigma.log()))

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.time_of(-torch.asinh(torch.exp(-log_snr.double() / 2) / 2))
