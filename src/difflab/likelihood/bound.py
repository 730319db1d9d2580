"""The variational bound on -log p(x_0) of a T-step chain, term by term, in bits per dimension."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.likelihood.case import Case
from difflab.likelihood.decoder import Decoder, Discretised
from difflab.likelihood.prior import prior_bits
from difflab.process import Variance, transition
from difflab.schedules import Schedule


class Bound:
    """-log p(x_0) <= L_T + sum_{k=2..T} L_{k-1} + L_0 (Ho et al., 2020, Eq. 5), each term from one x0_hat.

    Args:
        schedule: a chain of T steps.
        variance: of the reverse steps k >= 2.
        clip: whether x0_hat is clipped to [-1, 1] first.
        levels: how many values a pixel of the data can take.
        decoder: p(x_0 | x_1); None for the discretised one, which is that of the literature.

    Raises:
        ValueError: for a schedule without steps.
    """

    def __init__(
        self, schedule: Schedule, variance: Variance, clip: bool, levels: int, decoder: Decoder | None = None
    ) -> None:
        if schedule.T is None:
            raise ValueError("likelihood: the bound by steps needs a schedule with T steps")
        self.schedule, self.variance, self.clip, self.levels = schedule, variance, clip, levels
        self.T, self.decoder = schedule.T, decoder or Discretised()
        first, second = torch.tensor([1, 2], dtype=torch.float64) / self.T
        at = schedule.marginal(first)
        # The step k = 1 with beta~_2 in the place of beta~_1, which is zero.
        self.first = transition(schedule, first, second)._replace(var_ts=at.sigma**2, log_snr=at.log_snr)

    def prior(self, x0: Tensor) -> Float[Tensor, " batch"]:
        """L_T = KL(q(x_T | x_0) || prior): needs no network."""
        return prior_bits(self.schedule, x0)

    def times(self, k: Int[Tensor, " batch"], place: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """t_k = k/T, wherever in the step."""
        return k.double() / self.T

    def score(self, case: Case) -> Float[Tensor, " batch"]:
        """The same as `terms`."""
        return self.terms(case.x0, case.x0_hat, case.k, case.extra)

    def terms(
        self, x0: Tensor, x0_hat: Tensor, k: Int[Tensor, " batch"], extra: Tensor | None = None
    ) -> Float[Tensor, " batch"]:
        """Each image's term of its own step k: the KL of the reverse step for k >= 2, the decoder for k = 1.

        With x0_hat and `extra` (for a learned variance) the prediction from x_k; the one place of both conventions,
        since each image needs one of them.
        """
        if self.clip:
            x0_hat = x0_hat.clamp(-1, 1)
        pieces = []
        for where, part in ((k == 1, self.last), (k > 1, self.kl)):
            rows = where.nonzero()[:, 0]
            if len(rows):
                own = None if extra is None else extra[rows].double()
                pieces.append((rows, part(x0[rows].double(), x0_hat[rows].double(), k[rows], own)))
        found = torch.cat([rows for rows, _ in pieces])
        return torch.cat([bits for _, bits in pieces])[found.argsort()]

    def last(self, x0: Tensor, x0_hat: Tensor, k: Tensor, extra: Tensor | None) -> Float[Tensor, " batch"]:
        """-log p(x_0 | x_1): the decoder around x0_hat."""
        first = type(self.first)(*(c.to(x0.device) for c in self.first))
        std = self.variance.decoder(first, extra).sqrt()
        return self.decoder.nats(x0, x0_hat, std, self.levels) / math.log(2)

    def kl(self, x0: Tensor, x0_hat: Tensor, k: Tensor, extra: Tensor | None) -> Float[Tensor, " batch"]:
        """KL(q(x_{k-1} | x_k, x_0) || p(x_{k-1} | x_k)) for k >= 2 (Ho et al., 2020, Eq. 8)."""
        step = transition(self.schedule, (k.double() - 1) / self.T, k.double() / self.T)
        own = step.over(x0)
        var = self.variance(own, extra)
        ratio = own.posterior_var / var
        each = ratio - 1 - ratio.log() + own.of_x0**2 / var * (x0 - x0_hat).square()
        return 0.5 * each.flatten(1).mean(1) / math.log(2)
