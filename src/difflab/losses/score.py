"""Denoising score matching, weighted by a power of sigma."""

from jaxtyping import Float
from torch import Tensor

from difflab.losses.noised import Noised, square_error
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.schedules import Schedule


class Score:
    """sigma^power / 2 |s(x_t) - grad log q(x_t | x_0)|^2 (Vincent, 2011; Song & Ermon, 2019, Eq. 5 and 6).

    In eps space sigma^(power - 2) / 2: with power 2 it is half of L_simple.

    Args:
        power: of sigma; Song & Ermon choose 2, so that every level counts about the same.
    """

    def __init__(self, power: float) -> None:
        self.power = power

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return 0.5 * denoise.schedule.marginal(t).sigma ** (self.power - 2)

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        error = square_error(denoise(noised.x_t, noised.t).eps, noised.eps)
        sigma = schedule.marginal(noised.t).sigma
        return 0.5 * expand(sigma ** (self.power - 2), error) * error
