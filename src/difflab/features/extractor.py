"""What a feature extractor is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor


class Extracted(NamedTuple):
    """Of N pictures, float32 on the CPU: features [N, d], and logits [N, classes] where there are any."""

    features: Tensor
    logits: Tensor | None


@runtime_checkable
class Pictures(Protocol):
    """Pictures, uint8 [N, C, H, W]: a tensor, or what reads some of them when they are asked for."""

    @property
    def shape(self) -> torch.Size: ...

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any, /) -> Tensor: ...


@runtime_checkable
class Labelled(Protocol):
    """Pictures with their class numbers or None."""

    @property
    def pixels(self) -> Pictures: ...

    @property
    def labels(self) -> Tensor | None: ...


@runtime_checkable
class Extractor(Protocol):
    """Maps 8-bit pictures to features.

    The features of a picture depend on the others of its batch by rounding errors at most.

    Attributes:
        name: figures are called fd_NAME.
        dimension: d; 0 where it is only known after `prepare`.
        published: whether this is the Inception of the literature, whose figures are called fid, kid and is.
        cmmd: whether CMMD is defined on these features: CLIP ViT-L/14 at 336 pixels (Jayasumana et al., 2024).
    """

    name: str
    dimension: int
    published: bool
    cmmd: bool

    def prepare(self, train: Labelled, test: Labelled, classes: int | None, content: str, cache: Path) -> None:
        """Get ready for this data: load or train weights. `content` is a hash of the training part.

        Raises:
            ConfigError: where that cannot be.
        """
        ...

    def identity(self) -> str:
        """A hash of weights and preprocessing: equal ones give equal features. Valid after `prepare`."""
        ...

    def to(self, device: torch.device | str) -> None:
        """Compute on this device from now on (after `prepare`); pictures and features stay where they are."""
        ...

    def extract(self, pictures: UInt8[Tensor, "n c h w"]) -> Extracted:
        """Features of any number of pictures, none included, on any device."""
        ...

    def figures(self) -> dict[str, float]:
        """What a reader should know about the extractor itself, such as its accuracy."""
        ...

    def describe(self, extracted: Extracted) -> dict[str, float]:
        """What else the extractor can say about a set of pictures; may be empty."""
        ...


def in_batches(
    network: Callable[[Tensor], tuple[Float32[Tensor, "n _"], ...]],
    pictures: UInt8[Tensor, "n c h w"],
    batch: int,
    device: torch.device,
) -> Extracted:
    """What a network on `device` gives for pictures, (features,) or (features, logits), `batch` of them at a time."""
    n = len(pictures)
    some = pictures if n else pictures.new_zeros(1, *pictures.shape[1:])  # networks refuse none
    parts = [tuple(column.cpu() for column in network(part.to(device))) for part in some.split(batch)]
    features, *logits = (torch.cat(column)[:n] for column in zip(*parts, strict=True))
    return Extracted(features, logits[0] if logits else None)
