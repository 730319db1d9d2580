"""Data sets of images: uint8 levels, of which a training part and a test part are read."""

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
from torch import Tensor

from difflab.data.indexed import Indexed, Split
from difflab.data.picture import panels
from difflab.data.pixels import Pixels
from difflab.data.scaling import Scaling
from difflab.data.split import hashes_of, strangers
from difflab.data.statistics import Statistics, of_levels
from difflab.errors import ConfigError


class Images(NamedTuple):
    """Levels, uint8 [N, C, H, W], in memory or not, and class numbers, int64 [N], or None for data without classes."""

    pixels: Tensor | Pixels
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def values(self) -> Tensor | Pixels:
        return self.pixels

    def part(self, where: slice | np.ndarray) -> "Images":
        pixels = self.pixels[where] if isinstance(self.pixels, Tensor) else self.pixels.part(where)
        return Images(pixels, None if self.labels is None else self.labels[where])

    def in_memory(self) -> "Images":
        """The same, decoded."""
        return Images(self.pixels[:], self.labels)


class ImageData(Indexed[Images]):
    """A data set of images, uint8, in memory or decoded when they are asked for.

    A subclass reads its files in `read`; this class splits and describes. The last `val_size` images of the training
    part are held out for choices, and with them leave the part that is trained on whatever images equal one of them;
    where the files have a validation part of their own (`held_out`), its first `val_size` images are used instead. The
    test part is only reported on.

    Attributes:
        shape: (channels, height, width).
        held_out: the validation part that the files name, set by `read`; None for none.

    Args:
        root: folder of the files.
        batch_size, val_size, workers, flip, seed: as in `Indexed`.
    """

    levels: int = 256
    bounded = True
    scaling: Scaling
    form = "channels x height x width"
    held_out: Images | None = None

    def __init__(self, root: str, batch_size: int, val_size: int, workers: int | None, flip: bool, seed: int) -> None:
        super().__init__(batch_size, val_size, workers, flip, seed)
        self.root = root
        self.scaling = Scaling(self.levels)

    @abstractmethod
    def read(self) -> tuple[Images, Images]:
        """The training part (validation included, unless it is `held_out`) and the test part.

        Raises:
            ConfigError: where files are missing or broken: which, and what to put where.
        """

    def split(self) -> Split[Images]:
        whole, test = self.read()
        if self.held_out is not None:
            train, val = whole, self.held_out.part(slice(self.val_size)).in_memory()
            self.enough(len(whole), self.batch_size)
            return Split(train, val, test, reference=whole)
        self.enough(len(whole), self.batch_size + self.val_size)
        train, val = whole.part(slice(-self.val_size)), whole.part(slice(-self.val_size, None))
        own = strangers(contents_of(train.pixels), contents_of(val.pixels))
        if len(own) < len(train):
            self.enough(len(own) + self.val_size, self.batch_size + self.val_size)
            train = train.part(own)
        return Split(train, val.in_memory(), test, reference=whole)

    def enough(self, images: int, needed: int) -> None:
        """Whether a training part of so many different images is large enough."""
        if needed > images:
            fields = "data.batch_size" if self.held_out is not None else "data.batch_size, data.val_size"
            values = f"{self.batch_size}" if self.held_out is not None else f"{self.batch_size} and {self.val_size}"
            ends = "" if self.held_out is not None else " that add up to"
            raise ConfigError(
                f"{fields}: {values}; allowed are sizes{ends} at most {images}, the images of the training part"
            )

    def measure(self, part: Images) -> Statistics:
        return of_levels(part.pixels, self.scaling)

    def viewed(self, pictures: Tensor) -> Tensor:
        """8-bit pictures as they are shown, grey or in colour: of other numbers of channels each is a grey panel."""
        return pictures if pictures.shape[1] in (1, 3) else panels(pictures)


def contents_of(pixels: Tensor | Pixels) -> np.ndarray:
    """The hash of the content of each image, uint8 [N, bytes]; of images that are decoded on demand, of their files."""
    return hashes_of(pixels) if isinstance(pixels, Tensor) else pixels.contents()
