"""What a feature extractor is."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor


@runtime_checkable
class Labelled(Protocol):
    """Pictures, uint8 [N, C, H, W], with their class numbers or None."""

    @property
    def pixels(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor | None: ...


@runtime_checkable
class Extractor(Protocol):
    """Maps 8-bit pictures to features.

    Attributes:
        name: figures are called fd_NAME.
        dimension: d.
    """

    name: str
    dimension: int

    def prepare(self, train: Labelled, test: Labelled, classes: int | None, content: str, cache: Path) -> None:
        """Get ready for this data: load or train weights. `content` is a hash of the training part.

        Raises:
            ConfigError: where that cannot be.
        """
        ...

    def features(self, pictures: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]: ...

    def figures(self) -> dict[str, float]:
        """What a reader should know about the extractor itself, such as its accuracy."""
        ...

    def describe(self, features: Float[Tensor, "n d"]) -> dict[str, float]:
        """What else the extractor can say about a set of images; may be empty."""
        ...
