"""augmentation=: changes of training images of which the network is told, so that samples do not show them."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Augmentation(Protocol):
    """From training images to changed ones, and what to tell the network of the change.

    Attributes:
        numbers: uniform numbers that each image takes.
        told: numbers that the network is told of each image; all zero for an image as it is.
    """

    numbers: int
    told: int

    def __call__(
        self, x0: Float[Tensor, "batch c h w"], uniform: Float[Tensor, "batch numbers"]
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, "batch told"]]:
        """The images, and what is told of them.

        Args:
            x0: in the model's range.
            uniform: in [0, 1), float64, on the CPU.
        """
        ...
