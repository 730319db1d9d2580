"""Data sets of encoded pictures that are had by number, whatever holds them: shards, tables."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from difflab.data.image_data import ImageData, Images
from difflab.data.image_folder import sides
from difflab.data.picture import MODES, Fit, on_white
from difflab.data.picture_files import fit_in_memory, in_threads
from difflab.data.pixels import File, FilePixels
from difflab.data.split import by_content, in_order
from difflab.errors import ConfigError

UNLABELLED = -1


class Named(Protocol):
    """Encoded pictures by number, each with a name for messages."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> File: ...

    def name(self, i: int) -> str: ...


class Pool(NamedTuple):
    """Encoded pictures, the hashes of their content, uint8 [N, DIGEST], and class numbers, int64 [N] or UNLABELLED."""

    source: Named
    hashes: np.ndarray
    labels: np.ndarray


class Pooled(ImageData):
    """Images of two pools, or of one that is split by content; either part is ordered by content.

    Args:
        root, batch_size, val_size, workers, flip, seed: as in `ImageData`.
        size: height and width, one number for both or one for each.
        channels: 1 grey, 2 grey and opacity, 3 colour, 4 colour and opacity, see `difflab.data.picture.Fit`.
        classes: auto, true where every image must have a class, false where none is looked at, or how many there are.
        test_fraction: share of a single pool that is held out for testing.
        memory_gb: gigabytes of decoded images that are held in memory; of more, each is decoded when it is asked for.

    Raises:
        ConfigError: for numbers out of range, classes that are not what they must be, and pictures that are none.
    """

    form = "channels x size, or channels x height x width"
    kinds = "numbers beside the images, or none"
    licence = "that of the images"

    def __init__(
        self,
        root: str,
        batch_size: int,
        val_size: int,
        workers: int | None,
        flip: bool,
        seed: int,
        size: int | Sequence[int],
        channels: int,
        classes: str | bool | int,
        test_fraction: float,
        memory_gb: float,
    ) -> None:
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        if not 0 < test_fraction < 1:
            raise ConfigError(f"data.test_fraction: {test_fraction}; allowed are numbers between 0 and 1")
        self.fit, self.wanted = fit_of(size, channels), classes
        self.test_fraction, self.memory_gb = test_fraction, memory_gb

    @abstractmethod
    def pools(self) -> tuple[Pool, Pool | None]:
        """The pictures for training, and those for testing where they are named.

        Raises:
            ConfigError: where they cannot be had.
        """

    def read(self) -> tuple[Images, Images]:
        train, test = self.pools()
        pools = [train] if test is None else [train, test]
        self.classes = classes_of(pools, self.wanted, self.class_names)
        images = len(train.source) + (len(test.source) if test else 0)
        in_memory = fit_in_memory(images, self.fit.shape, self.memory_gb)
        if test is not None:
            parts = (train, in_order(train.hashes)), (test, in_order(test.hashes))
        else:
            two = by_content(train.hashes, self.test_fraction)
            parts = (train, two.train), (train, two.test)
        (a, in_train), (b, in_test) = parts
        return self.images(a, in_train, in_memory), self.images(b, in_test, in_memory)

    def images(self, pool: Pool, rows: np.ndarray, in_memory: bool) -> Images:
        """These pictures of a pool, in this order."""
        pixels = FilePixels(pool.source, self.fit, pool.hashes, rows)
        labels = torch.from_numpy(pool.labels[rows]) if self.classes else None
        return Images(decoded(pixels) if in_memory else pixels, labels)

    def viewed(self, pictures: Tensor) -> Tensor:
        return on_white(pictures) if self.fit.channels % 2 == 0 else pictures


def fit_of(size: int | Sequence[int], channels: int) -> Fit:
    """What brings pictures to one size.

    Raises:
        ConfigError: for sizes and numbers of channels that are none.
    """
    if channels not in MODES:
        raise ConfigError(f"data.channels: {channels}; allowed are 1 (grey), 2, 3 (colour) and 4 (with opacity)")
    return Fit(*sides(size), channels)


def decoded(pixels: FilePixels) -> Tensor:
    """All of these images in memory."""
    out = np.empty(pixels.shape, dtype=np.uint8)

    def load(i: int) -> None:
        out[i] = pixels.decode(pixels.source[int(pixels.rows[i])])

    in_threads(load, len(pixels), os.cpu_count(), "decoding images")
    return torch.from_numpy(out)


def classes_of(pools: Sequence[Pool], wanted: str | bool | int, names: Sequence[str] | None) -> int | None:
    """How many classes there are, None for none; the first pool says where nobody else does.

    Args:
        wanted: auto, true, false or the number.
        names: of the classes, where they have names.

    Raises:
        ConfigError: for an image without a class beside others that have one, or out of range, by its name.
    """
    if wanted is False:
        return None
    first = pools[0].labels
    if wanted == "auto" and all((pool.labels == UNLABELLED).all() for pool in pools):
        return None
    count = wanted if type(wanted) is int else len(names or ()) or int(first.max()) + 1
    for pool in pools:
        wrong = np.flatnonzero((pool.labels < 0) | (pool.labels >= count))
        if len(wrong):
            name, label = pool.source.name(int(wrong[0])), int(pool.labels[wrong[0]])
            has = "no class" if label == UNLABELLED else f"class {label}"
            allowed = f"0 to {count - 1} for every image" if count else "class numbers for every image"
            raise ConfigError(f"data.classes: {name} has {has}; allowed are {allowed}, or data.classes=false")
    return count
