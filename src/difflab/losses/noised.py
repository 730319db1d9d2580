"""What every loss is given, and the signature of a loss."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from difflab.prediction import Denoiser
from difflab.schedules import Schedule


def no_normal() -> Tensor:
    """Examples whose loss draws nothing come without a source of numbers.

    Raises:
        ValueError: for a loss that draws.
    """
    raise ValueError("loss: random directions are drawn from noised.normal, and these examples came without it")


class Noised(NamedTuple):
    """A batch of training examples x_t = alpha(t) x0 + sigma(t) eps; t is float64, [batch].

    Attributes:
        normal: fresh standard normal numbers of the shape of x0 at each call, for losses that draw some.
    """

    x0: Tensor
    eps: Tensor
    t: Tensor
    x_t: Tensor
    normal: Callable[[], Tensor] = no_normal


@runtime_checkable
class Loss(Protocol):
    """The loss of each example, [batch]; its mean is what is trained.

    `weight` says what it multiplies the error in eps by; times=weighted asks for it.
    """

    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]: ...

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]: ...


def square_error(prediction: Tensor, target: Tensor) -> Float[Tensor, " batch"]:
    """Mean over the dimensions of the squared difference, for each example."""
    return (prediction - target).square().flatten(1).mean(1)
