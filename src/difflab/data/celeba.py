"""CelebA: photographs of faces, decoded when they are asked for, in the official parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from difflab.data.image_data import Images
from difflab.data.image_folder import sides
from difflab.data.picture import Fit
from difflab.data.picture_files import decoded, fit_in_memory, on_demand
from difflab.data.torchvision_sets import TorchvisionSet
from difflab.errors import ConfigError

PARTS = ("training", "validation", "test")  # by their numbers in the list
HOME = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


class Listed(NamedTuple):
    """The attributes of all images: their names, and for each file the numbers 0 and 1."""

    names: list[str]
    has: dict[str, list[int]]


class CelebA(TorchvisionSet):
    """202,599 aligned photographs of 10,177 people, 178x218 colour (Liu et al., 2015); no person is in two parts.

    The square in the middle is cut out and resized (bilinear, antialiased); a side of 140 pixels is that of NCSNv2 and
    of the score-based models that followed it (Song & Ermon, 2020), others took 128 to 178.

    Args:
        size: height and width, one number for both or one for each.
        crop: side of the square.
        attribute: one of the 40 attributes, which then makes two classes; None for no classes.
        memory_gb: gigabytes of decoded images that are held in memory; of more, each is decoded when it is asked for.

    Raises:
        ConfigError: for files that are missing and not to be had or damaged, and for another attribute.
    """

    loader = "CelebA"
    form = "3 x size x size"
    kinds = "none, or 2 by an attribute"
    division = "official: 162,770 training, 19,867 validation, 19,962 test"
    licence = "for non-commercial research"
    where = "ROOT/celeba/img_align_celeba/, list_eval_partition.txt, list_attr_celeba.txt"

    def __init__(
        self,
        root: str,
        batch_size: int,
        val_size: int,
        workers: int | None,
        flip: bool,
        seed: int,
        size: int | Sequence[int],
        crop: int,
        attribute: str | None,
        memory_gb: float,
    ) -> None:
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        if crop < 1:
            raise ConfigError(f"data.crop: {crop}; allowed are whole numbers from 1 on")
        self.fit = Fit(*sides(size), 3, crop, Image.Resampling.BILINEAR)
        self.attribute, self.memory_gb = attribute, memory_gb

    def here(self) -> Path:
        return self.folder() / self.source.base_folder

    def images(self) -> Path:
        return self.here() / "img_align_celeba"

    def files(self) -> list[Path]:
        names = ["list_eval_partition.txt", *(["list_attr_celeba.txt"] if self.attribute else [])]
        return [self.here() / name for name in names]

    def missing(self) -> list[Path]:
        return [path for path in (self.images(), *self.files()) if not path.exists()]

    def sound(self, file: Path) -> bool:
        try:
            return bool(attributes(file).has if "attr" in file.name else partition(file))
        except (OSError, ValueError):
            return False

    def instead(self, files: list[Path]) -> str:
        names = ", ".join(f"{file.name}{'' if file.suffix else ' (unpacked from its .zip)'}" for file in files)
        return f"put {names} (from {HOME}) into {self.here()}"

    def fetch(self) -> None:
        try:
            self.source(self.folder(), split="all", download=True)
        except Exception as error:  # the package that knows Google Drive has no error of its own kind in common
            raise RuntimeError(str(error) or type(error).__name__) from error

    def read(self) -> tuple[Images, Images]:
        self.obtain()
        part_of = partition(self.files()[0])
        there = {entry.name for entry in self.images().iterdir()}
        gone = [name for name in part_of if name not in there]
        if gone:
            raise ConfigError(
                f"data.root: {self.images()} lacks {len(gone)} of {len(part_of)} images, the first of them {gone[0]}; "
                f"{self.instead([self.images()])}"
            )
        labels = self.labels(list(part_of))
        in_memory = fit_in_memory(len(part_of), self.fit.shape, self.memory_gb)
        parts = []
        for number, title in enumerate(PARTS):
            paths = [self.images() / name for name, part in part_of.items() if part == number]
            if not paths:
                raise ConfigError(f"data.root: {self.files()[0]} lists no images of the {title} part; one at least")
            what = f"the {title} part"
            pixels = (
                decoded(paths, self.fit, what) if in_memory else on_demand(paths, self.fit, what, self.cache)
            ).pixels
            own = None if labels is None else torch.tensor([labels[path.name] for path in paths])
            parts.append(Images(pixels, own))
        train, self.held_out, test = parts
        return train, test

    def labels(self, names: list[str]) -> dict[str, int] | None:
        """Whether each image has the attribute; sets the classes."""
        if self.attribute is None:
            return None
        listed = attributes(self.files()[1])
        if self.attribute not in listed.names:
            raise ConfigError(
                f"data.attribute: {self.attribute}; allowed are null and one of {', '.join(listed.names)}"
            )
        unknown = [name for name in names if name not in listed.has]
        if unknown:
            raise ConfigError(
                f"data.root: {self.files()[1]} says nothing of {unknown[0]}; {self.instead(self.files())}"
            )
        self.classes, self.class_names = 2, (f"not {self.attribute}", self.attribute)
        column = listed.names.index(self.attribute)
        return {name: listed.has[name][column] for name in names}


def partition(file: Path) -> dict[str, int]:
    """The number of the part of each image, by its name.

    Raises:
        ValueError: for a line that is none.
    """
    found = {}
    for line in file.read_text().splitlines():
        name, part = line.split()
        if int(part) not in range(len(PARTS)):
            raise ValueError(line)
        found[name] = int(part)
    return found


def attributes(file: Path) -> Listed:
    """The list of attributes: a line with the number of images, one with the names, one for each image with -1 or 1.

    Raises:
        ValueError: for a line that is none.
    """
    first, second, *lines = file.read_text().splitlines() or ["", ""]
    names, has = second.split(), {}
    for line in lines:
        name, *values = line.split()
        if len(values) != len(names) or not set(values) <= {"-1", "1"}:
            raise ValueError(line)
        has[name] = [int(value == "1") for value in values]
    if int(first) != len(has):
        raise ValueError(first)
    return Listed(names, has)
