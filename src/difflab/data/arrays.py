"""Your own images as NumPy arrays: .npz and .npy files, of any number of channels."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from difflab.data.array_files import (
    LAYOUTS,
    ArrayPixels,
    Rows,
    channels_first,
    check_images,
    checked_labels,
    layout_of,
    member,
    opened,
    row_hashes,
)
from difflab.data.image_data import ImageData, Images, contents_of
from difflab.data.picture_files import fit_in_memory
from difflab.data.split import by_content
from difflab.errors import ConfigError


class Arrays(ImageData):
    """The images of an .npz or .npy file, uint8, and of a second one as the test part, if there is one.

    Without it the `test_fraction` of the images with the smallest hashes is the test part, and equal images are never
    on both sides.

    Args:
        file: below `root`: an .npz with images and perhaps labels, or an .npy with images.
        test_file: the same for the test part; None to split the first.
        images: name of the images in an .npz; None for images, x or arr_0, or the only array there is.
        labels: name of the class numbers in an .npz (None for labels, y or arr_1, where there are any), or of a second
            .npy file beside the one with the images.
        test_labels: the same of the test file where that is an .npy; None elsewhere.
        layout: nhw, nhwc or nchw; auto takes the shorter of the two outer sides for the channels.
        levels: how many values a number can take, 2 to 256; the numbers are below it.
        classes: auto, true where there must be labels, false where they are not read, or how many classes there are.
        test_fraction: share of the images that is held out for testing.
        memory_gb: gigabytes of an .npy of 256 levels that are held in memory; of more, images are read when they are
            asked for.

    Raises:
        ConfigError: for files, arrays and numbers that are not as stated.
    """

    form = "C x H x W of the array"
    kinds = "labels, or none"
    division = "a file of its own; else by content"
    licence = "that of the images"
    where = "ROOT/FILE, and ROOT/TEST_FILE"

    def __init__(
        self,
        root: str,
        batch_size: int,
        val_size: int,
        workers: int | None,
        flip: bool,
        seed: int,
        file: str,
        test_file: str | None,
        images: str | None,
        labels: str | None,
        test_labels: str | None,
        layout: str,
        levels: int,
        classes: str | bool | int,
        test_fraction: float,
        memory_gb: float,
    ) -> None:
        if not 2 <= levels <= 256:
            raise ConfigError(f"data.levels: {levels}; allowed are 2 to 256")
        self.levels = levels
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        if layout not in LAYOUTS:
            raise ConfigError(f"data.layout: {layout}; allowed are {', '.join(LAYOUTS)}")
        if not 0 < test_fraction < 1:
            raise ConfigError(f"data.test_fraction: {test_fraction}; allowed are numbers between 0 and 1")
        self.file, self.test_file, self.images, self.labels = file, test_file, images, labels
        self.test_labels, self.layout, self.wanted = test_labels, layout, classes
        self.test_fraction, self.memory_gb = test_fraction, memory_gb

    @classmethod
    def stated(cls) -> dict[str, str]:
        return super().stated() | {"levels": "data.levels, at most 256"}

    def read(self) -> tuple[Images, Images]:
        train = self.load("data.file", self.file, self.labels)
        again = self.labels if str(self.test_file).endswith(".npz") else self.test_labels
        test = None if self.test_file is None else self.load("data.test_file", self.test_file, again)
        layout = layout_of(train, self.layout)
        self.number([part for part in (train, test) if part is not None])
        whole = self.part(train, layout)
        if test is None:
            sides = by_content(contents_of(whole.pixels), self.test_fraction)
            return whole.part(sides.train), whole.part(sides.test)
        held = self.part(test, layout)
        if held.pixels.shape[1:] != whole.pixels.shape[1:]:
            raise ConfigError(
                f"data.test_file: {test.path} holds images of shape {tuple(held.pixels.shape[1:])}; allowed are those "
                f"of {train.path}: {tuple(whole.pixels.shape[1:])}"
            )
        return whole, held

    def load(self, field: str, name: str, labels: str | None) -> Rows:
        """The arrays of a file, checked as far as they can be without looking at every number."""
        path = Path(self.root).expanduser() / name
        if path.suffix not in (".npz", ".npy") or not path.is_file():
            what = "is no .npz or .npy" if path.is_file() else "is not there"
            raise ConfigError(f"{field}: {path} {what}; allowed are .npz and .npy files with images")
        if path.suffix == ".npy":
            images = opened(path, field, "r")
            numbers = None if labels is None else opened(path.with_name(labels), "data.labels", None)
        else:
            archive = opened(path, field, None)
            images = member(archive, path, "images", self.images)
            numbers = member(archive, path, "labels", labels)
        assert images is not None
        check_images(images, field, path)
        if self.wanted is False:
            numbers = None
        if numbers is None and self.wanted not in (False, "auto"):
            raise ConfigError(
                f"data.classes: {str(self.wanted).lower()}; {path} has no labels: allowed are auto, false"
            )
        return Rows(images, None if numbers is None else checked_labels(numbers, len(images), path), path)

    def number(self, parts: list[Rows]) -> None:
        """How many classes there are."""
        if len({part.labels is None for part in parts}) > 1:
            without = next(part for part in parts if part.labels is None)
            raise ConfigError(f"data.test_file: {without.path} has no labels, the other file has; both or none")
        most = [(int(part.labels.max()), part) for part in parts if part.labels is not None]
        if not most:
            self.classes = None
            return
        stated = self.wanted if type(self.wanted) is int else 1 + most[0][0]
        for label, part in most:
            if label >= stated:
                assert part.labels is not None
                raise ConfigError(
                    f"data.classes: {stated}; {part.path} gives image {int(part.labels.argmax())} the label {label}: "
                    f"allowed are 0 to {stated - 1}"
                )
        self.classes = stated

    def part(self, rows: Rows, layout: str) -> Images:
        """The images of a file with their labels."""
        n, one = len(rows.images), rows.images.shape[1:]
        of_bytes = isinstance(rows.images, np.memmap) and self.levels == 256  # others become pictures by scaling
        labels = None if rows.labels is None else torch.from_numpy(rows.labels)
        if of_bytes and not fit_in_memory(n, one, self.memory_gb):
            hashes = row_hashes(rows, layout, self.cache)
            return Images(ArrayPixels(rows.path, layout, hashes, np.arange(n)), labels)
        pixels = torch.from_numpy(np.array(channels_first(rows.images, layout), order="C"))
        if self.levels < 256:
            self.check_levels(pixels, rows.path)
        return Images(pixels, labels)

    def check_levels(self, pixels: Tensor, path: Path) -> None:
        """Refuse numbers that are no levels, by the first image that has one."""
        wrong = (pixels.flatten(1).amax(1) >= self.levels).nonzero()
        if len(wrong):
            i = int(wrong[0])
            raise ConfigError(
                f"data.levels: {self.levels}; image {i} of {path} holds {int(pixels[i].max())}: allowed are 0 to "
                f"{self.levels - 1}"
            )
