"""Data sets of images: uint8 levels, of which a training part and a test part are read."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.data.indexed import Indexed, Split
from difflab.data.scaling import Scaling
from difflab.errors import ConfigError


class Images(NamedTuple):
    """Levels, uint8 [N, C, H, W], and class numbers, int64 [N], or None for data without classes."""

    pixels: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def values(self) -> Tensor:
        return self.pixels

    def part(self, where: slice) -> "Images":
        return Images(self.pixels[where], None if self.labels is None else self.labels[where])


class ImageData(Indexed[Images]):
    """A data set of images held in memory as uint8.

    A subclass reads its files in `read`; this class splits and describes. The last `val_size` images of the training
    part are held out for choices; the test part is only reported on.

    Attributes:
        shape: (channels, height, width).
        class_names: what the classes are called, in the order of their numbers, or None.

    Args:
        root: folder of the files.
        batch_size, val_size, workers, flip, seed: as in `Indexed`.
    """

    levels: int = 256
    bounded = True
    scaling: Scaling
    class_names: Sequence[str] | None = None

    def __init__(self, root: str, batch_size: int, val_size: int, workers: int, flip: bool, seed: int) -> None:
        super().__init__(batch_size, val_size, workers, flip, seed)
        self.root = root
        self.scaling = Scaling(self.levels)

    @abstractmethod
    def read(self) -> tuple[Images, Images]:
        """The training part (validation included) and the test part.

        Raises:
            ConfigError: where files are missing or broken: which, and what to put where.
        """

    def split(self) -> Split[Images]:
        whole, test = self.read()
        if self.batch_size + self.val_size > len(whole):
            raise ConfigError(
                f"data.batch_size, data.val_size: {self.batch_size} and {self.val_size}; "
                f"allowed are sizes that add up to at most {len(whole)}, the images of the training part"
            )
        train, val = whole.part(slice(-self.val_size)), whole.part(slice(-self.val_size, None))
        return Split(train, val, test, reference=whole)

    def spread(self, values: Tensor) -> float:
        counts = torch.bincount(values.flatten(), minlength=256).double()
        value = self.scaling.encode(torch.arange(len(counts))).double()
        mean = (counts * value).sum() / counts.sum()
        return float(((counts * (value - mean) ** 2).sum() / counts.sum()).sqrt())
