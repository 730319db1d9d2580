"""Denoising score matching, weighted by a power of sigma."""

from jaxtyping import Float
from torch import Tensor

from difflab.losses.noised import Noised, square_error
from difflab.losses.power import Power
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.schedules import Schedule


class Score(Power):
    """sigma^power / 2 |s(x_t) - grad log q(x_t | x_0)|^2 (Vincent, 2011; Song & Ermon, 2019, Eq. 5 and 6).

    With power 2 it is half of L_simple. At one sigma only with times=one_level.

    Args:
        power: of sigma.
    """

    def target(self, noised: Noised, schedule: Schedule) -> Tensor:
        """-sigma times the score to be matched: what eps_hat should be."""
        return noised.eps

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        error = square_error(denoise(noised.x_t, noised.t).eps, self.target(noised, schedule))
        sigma = schedule.marginal(noised.t).sigma
        return 0.5 * expand(sigma ** (self.power - 2), error) * error
