"""condition=: what a network is told of an example beside x_t and the time."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor

from difflab.condition.condition import Condition

NUMBERS = 8  # uniform numbers for each example, of which the last is the coin of `drop`


class Conditioning(ABC):
    """From examples to conditions.

    Attributes:
        classes: whether the class is told.

    Args:
        drop: share of the training examples that the network is told nothing of, so that it can be guided (Ho &
            Salimans, 2022, Algorithm 1).

    Raises:
        ValueError: for a share outside [0, 1).
    """

    classes = False

    def __init__(self, drop: float) -> None:
        if not 0 <= drop < 1:
            raise ValueError(f"condition.drop: {drop}; allowed are numbers from 0 to below 1")
        self.drop = drop

    def channels(self, shape: tuple[int, ...]) -> int:
        """How many channels the network is told beside those of x_t, for data of this shape."""
        return 0

    @abstractmethod
    def of(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        """All that may be told of these examples.

        Args:
            x0: in the model's range.
            labels: class numbers, of data that has classes.
            uniform: numbers in [0, 1), `NUMBERS` for each example, on the CPU.
        """

    def trained(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        """What is told in training: nothing of a share `drop` of the examples."""
        whole = self.of(x0, labels, uniform)
        return whole.without(uniform[:, -1] < self.drop) if self.drop > 0 else whole


class Unconditional(Conditioning):
    """Nothing is told."""

    def __init__(self) -> None:
        super().__init__(drop=0.0)

    def of(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        return Condition()


class Classes(Conditioning):
    """The class of each example.

    Args:
        drop: as for every conditioning.
    """

    classes = True

    def of(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        assert labels is not None, "data without classes is refused before"
        return Condition(classes=labels.to(x0.device))
