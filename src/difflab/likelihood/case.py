"""What a term of a bound is computed from, and what a bound has to answer to be scored."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


class Case(NamedTuple):
    """Images at a step each, and what the network said there.

    Attributes:
        x0, eps: the image and the noise, x_t = alpha x0 + sigma eps; [batch, ...].
        k: the step, from 1, [batch].
        t: its time, float64, [batch].
        x0_hat: the prediction from x_t, not clipped.
        extra: the network's outputs beside it, or None.
    """

    x0: Tensor
    eps: Tensor
    k: Tensor
    t: Tensor
    x0_hat: Tensor
    extra: Tensor | None


@runtime_checkable
class Scored(Protocol):
    """A bound as a sum over steps k = 1..T.

    Attributes:
        T: number of steps.
        clip: whether x0_hat is clipped to [-1, 1].
        levels: how many values a pixel of the data can take.
    """

    T: int
    clip: bool
    levels: int

    def times(self, k: Int[Tensor, " batch"], place: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The time of a step; `place` in [0, 1] says where within it, for those that have a width."""
        ...

    def prior(self, x0: Tensor) -> Float[Tensor, " batch"]:
        """L_T in bits per dimension."""
        ...

    def score(self, case: Case) -> Float[Tensor, " batch"]:
        """Each image's term of its own step in bits per dimension, float64."""
        ...
