"""The weight that all forms of score matching share."""

from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser


class Power:
    """sigma^power / 2 on the squared error of the score: in eps space sigma^(power - 2) / 2.

    Args:
        power: of sigma; Song & Ermon (2019) choose 2, so that every level counts about the same.
    """

    def __init__(self, power: float) -> None:
        self.power = power

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return 0.5 * denoise.schedule.marginal(t).sigma ** (self.power - 2)
