"""Your own images: any folder of pictures, of any sizes and modes, brought to one size."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from difflab.data.image_data import ImageData, Images
from difflab.data.picture import MODES, SUFFIXES, Fit, on_white
from difflab.data.picture_files import Read, decoded, fit_in_memory, on_demand
from difflab.data.split import by_content, in_order, strangers
from difflab.errors import ConfigError

log = logging.getLogger(__name__)

VAL_NAMES = ("val", "valid", "validation")
TEST_NAMES = ("test", *VAL_NAMES)


class Files(NamedTuple):
    """The images below one folder and the names of the class folders they lie in (empty: no classes)."""

    folder: Path
    paths: list[Path]
    class_names: list[str]


class ImageFolder(ImageData):
    """The images below `root`.

    Subfolders train/ and test/ are the split, with val/ as the validation part where there is one; where there is no
    test/, val/ is the test part. Otherwise all images are one pool, of which the `test_fraction` with the smallest
    hashes of their files is the test part: the same images whatever their names, and equal files never on both sides.
    Every part is ordered by these hashes. Folders below are classes, numbered by name, as in torchvision's ImageFolder;
    images that lie in no such folder have none.

    Args:
        workers: as in `Indexed`.
        size: height and width, one number for both or one for each.
        channels: 1 grey, 2 grey and opacity, 3 colour, 4 colour and opacity, see `difflab.data.picture.Fit`.
        classes: auto, true where folders must be classes, false where they are none, or how many there must be.
        test_fraction: share of the pool that is held out for testing.
        memory_gb: gigabytes of decoded images that are held in memory; of more, each is decoded when it is asked for.

    Raises:
        ConfigError: for a folder that is missing or empty and for a file that is not the image it is named as.
    """

    form = "channels x size, or channels x height x width"
    kinds = "folders, or none"
    division = "folders train, val, test; else by content"
    licence = "that of the images"
    where = "pictures anywhere below ROOT, or below ROOT/train, ROOT/val, ROOT/test"

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
        test_fraction: float,
        classes: str | bool | int = "auto",  # run folders of earlier versions say neither this nor memory_gb
        memory_gb: float = float("inf"),
    ) -> None:
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        if channels not in MODES:
            raise ConfigError(f"data.channels: {channels}; allowed are 1 (grey), 2, 3 (colour) and 4 (with opacity)")
        if not 0 < test_fraction < 1:
            raise ConfigError(f"data.test_fraction: {test_fraction}; allowed are numbers between 0 and 1")
        self.fit = Fit(*sides(size), channels)
        self.wanted, self.test_fraction, self.memory_gb = classes, test_fraction, memory_gb

    def read(self) -> tuple[Images, Images]:
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise ConfigError(
                f"data.root: {root} is not a folder; allowed is a folder of images ({', '.join(SUFFIXES)})"
            )
        here = {folder.name: folder for folder in subfolders(root)}
        test_name = next((name for name in TEST_NAMES if name in here), None)
        if "train" in here and test_name:
            val_name = next((name for name in VAL_NAMES if name in here and name != test_name), None)
            names = ["train", test_name, *([val_name] if val_name and test_name == "test" else [])]
            train, test, *val = self._load([find(here[name], self.wanted) for name in names])
            found = [self._images(read, files, in_order(read.hashes)) for read, files in (train, test, *val)]
            self.held_out = found[2] if val else None
            for name, (read, _) in zip(names[1:], (test, *val), strict=True):
                both = len(read.hashes) - len(strangers(read.hashes, train[0].hashes))
                if both:
                    log.warning("data.root: %d images of %s are in train too; the folders are kept", both, here[name])
            return found[0], found[1]
        pool = find(here["train"] if list(here) == ["train"] else root, self.wanted)
        ((read, files),) = self._load([pool])
        sides = by_content(read.hashes, self.test_fraction)
        return self._images(read, files, sides.train), self._images(read, files, sides.test)

    def _load(self, parts: list[Files]) -> list[tuple[Read, Files]]:
        """The images of these parts, the first of which says which classes there are."""
        train, *others = parts
        names = train.class_names
        for other in others:
            if bool(names) != bool(other.class_names) or not set(other.class_names) <= set(names):
                raise ConfigError(
                    f"data.root: {other.folder} holds {listed(other.class_names)}; "
                    f"allowed are the classes of {train.folder}, which holds {listed(names)}"
                )
        if type(self.wanted) is int and self.wanted != len(names):
            raise ConfigError(f"data.classes: {self.wanted}; {train.folder} holds {len(names)}: {listed(names)}")
        self.classes, self.class_names = (len(names), tuple(names)) if names else (None, None)
        in_memory = fit_in_memory(sum(len(part.paths) for part in parts), self.fit.shape, self.memory_gb)
        return [
            (
                decoded(part.paths, self.fit, str(part.folder))
                if in_memory
                else on_demand(part.paths, self.fit, str(part.folder), self.cache),
                part,
            )
            for part in parts
        ]

    def _images(self, read: Read, files: Files, rows: np.ndarray) -> Images:
        """These of the images of a folder, in this order."""
        whole = Images(read.pixels, None)
        if files.class_names:
            number = {name: n for n, name in enumerate(self.class_names or ())}
            depth = len(files.folder.parts)
            whole = Images(read.pixels, torch.tensor([number[path.parts[depth]] for path in files.paths]))
        return whole.part(rows)

    def viewed(self, pictures: Tensor) -> Tensor:
        return on_white(pictures) if self.fit.channels % 2 == 0 else pictures


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        ConfigError: for other than one or two whole numbers from 1 on.
    """
    both = [size, size] if isinstance(size, int) else list(size)
    if len(both) != 2 or not all(type(side) is int and side >= 1 for side in both):
        raise ConfigError(f"data.size: {size}; allowed are whole numbers from 1 on, or [HEIGHT, WIDTH] of them")
    return both[0], both[1]


def listed(class_names: list[str]) -> str:
    if len(class_names) > 12:
        class_names = [*class_names[:12], f"and {len(class_names) - 12} more"]
    return f"the classes {', '.join(class_names)}" if class_names else "no class folders"


def entries(folder: Path) -> list[Path]:
    """Sorted, without what only programs look at (.git, ._photo.jpg, __MACOSX)."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise ConfigError(
            f"data.root: {folder} cannot be read ({error.strerror}); allowed is a folder to read"
        ) from error


def subfolders(folder: Path) -> list[Path]:
    return [entry for entry in entries(folder) if entry.is_dir()]


def find(folder: Path, classes: str | bool | int) -> Files:
    """The images below a folder, by their suffixes; files of other kinds are not looked at.

    Args:
        classes: as in `ImageFolder`.

    Raises:
        ConfigError: for a folder or a class folder without images, and for images beside class folders.
    """
    allowed = f"allowed are images ({', '.join(SUFFIXES)}), all in one folder or each in the folder of its class"
    if classes is False:
        paths = images_below(folder)
        if not paths:
            raise ConfigError(f"data.root: {folder} holds no images; {allowed}")
        return Files(folder, paths, [])
    loose, below = images_in(folder), {f: images_below(f) for f in subfolders(folder)}
    filled = [f for f, paths in below.items() if paths]
    if loose and filled:
        raise ConfigError(
            f"data.root: {folder} holds images beside the folder {filled[0].name} of images; {allowed}; with "
            "data.classes=false folders have no meaning"
        )
    if loose and classes != "auto":
        raise ConfigError(f"data.classes: {str(classes).lower()}; {folder} holds images in no folders of classes")
    if loose:
        return Files(folder, loose, [])
    if not filled:
        raise ConfigError(f"data.root: {folder} holds no images; {allowed}")
    if empty := [f for f in below if f not in filled]:
        raise ConfigError(f"data.root: {empty[0]} holds no images; {allowed}")
    return Files(folder, [path for paths in below.values() for path in paths], [f.name for f in below])


def images_in(folder: Path) -> list[Path]:
    return [entry for entry in entries(folder) if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]


def images_below(folder: Path) -> list[Path]:
    return images_in(folder) + [path for below in subfolders(folder) for path in images_below(below)]
