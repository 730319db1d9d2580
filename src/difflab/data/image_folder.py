"""Your own images: any folder of pictures, of any sizes and modes, as squares of one size."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from difflab.data.image_data import ImageData, Images
from difflab.data.picture import SUFFIXES, contents, square
from difflab.errors import ConfigError
from difflab.progress import Progress

TEST_NAMES = ("test", "val", "valid", "validation")


class Files(NamedTuple):
    """The images below one folder and the names of the class folders they lie in (empty: no classes)."""

    folder: Path
    paths: list[Path]
    class_names: list[str]


class ImageFolder(ImageData):
    """The images below `root`.

    Subfolders train/ and test/ (or, where there is no test/, val/) are the split. Otherwise all images are one pool,
    of which the `test_fraction` with the smallest hashes of their files is the test part: the same images whatever
    their names, and equal files never on both sides. Either part is ordered by these hashes. Folders below are
    classes, numbered by name, as in torchvision's ImageFolder; images that lie in no such folder have none.

    A picture is turned as its EXIF data say, laid on white where it is transparent, converted, and its central square
    is resized (bicubic, antialiased); one that has the size already is not touched.

    Args:
        size: height and width.
        channels: 3 for colour or 1 for grey; pictures of the other kind are converted.
        test_fraction: share of the pool that is held out for testing.

    Raises:
        ConfigError: for a folder that is missing or empty and for a file that is not the image it is named as.
    """

    licence = "that of the images"

    def __init__(
        self,
        root: str,
        batch_size: int,
        val_size: int,
        workers: int,
        flip: bool,
        seed: int,
        size: int,
        channels: int,
        test_fraction: float,
    ) -> None:
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        if size < 1:
            raise ConfigError(f"data.size: {size}; allowed are whole numbers from 1 on")
        if channels not in (1, 3):
            raise ConfigError(f"data.channels: {channels}; allowed are 1 (grey) and 3 (colour)")
        if not 0 < test_fraction < 1:
            raise ConfigError(f"data.test_fraction: {test_fraction}; allowed are numbers between 0 and 1")
        self.size, self.channels, self.test_fraction = size, channels, test_fraction

    def read(self) -> tuple[Images, Images]:
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise ConfigError(
                f"data.root: {root} is not a folder; allowed is a folder of images ({', '.join(SUFFIXES)})"
            )
        here = {folder.name: folder for folder in subfolders(root)}
        test_folder = next((here[name] for name in TEST_NAMES if name in here), None)
        if "train" in here and test_folder:
            train, test = find(here["train"]), find(test_folder)
            self._name_classes(train, test)
            return self._load(train)[0], self._load(test)[0]
        pool = find(here["train"] if list(here) == ["train"] else root)
        self._name_classes(pool)
        images, hashes = self._load(pool)
        cut = max(1, round(self.test_fraction * len(images)))
        while cut < len(images) and hashes[cut] == hashes[cut - 1]:
            cut += 1
        return images.part(slice(cut, None)), images.part(slice(cut))

    def _name_classes(self, train: Files, test: Files | None = None) -> None:
        names = train.class_names
        if test and (bool(names) != bool(test.class_names) or not set(test.class_names) <= set(names)):
            raise ConfigError(
                f"data.root: {test.folder} holds {listed(test.class_names)}; "
                f"allowed are the classes of {train.folder}, which holds {listed(names)}"
            )
        self.classes, self.class_names = (len(names), tuple(names)) if names else (None, None)

    def _load(self, files: Files) -> tuple[Images, list[bytes]]:
        """The images of a folder in the order of the hashes of their files, and these hashes in order."""
        pixels = np.empty((len(files.paths), self.channels, self.size, self.size), dtype=np.uint8)
        hashes = [b""] * len(files.paths)

        def load(i: int) -> None:
            content = contents(files.paths[i])
            hashes[i] = blake2b(content, digest_size=16).digest()
            pixels[i] = square(files.paths[i], content, self.size, self.channels)

        small = len(contents(files.paths[len(files.paths) // 2])) < 4096
        in_threads(load, len(files.paths), 1 if small else os.cpu_count(), f"reading {files.folder}")
        order = sorted(range(len(hashes)), key=lambda i: (hashes[i], files.paths[i]))
        labels = None
        if files.class_names:
            number = {name: n for n, name in enumerate(self.class_names or ())}
            depth = len(files.folder.parts)
            labels = torch.tensor([number[files.paths[i].parts[depth]] for i in order])
        return Images(torch.from_numpy(pixels[order]), labels), [hashes[i] for i in order]


def listed(class_names: list[str]) -> str:
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


def find(folder: Path) -> Files:
    """The images below a folder, by their suffixes; files of other kinds are not looked at.

    Raises:
        ConfigError: for a folder or a class folder without images, and for images beside class folders.
    """
    loose, classes = images_in(folder), {f: images_below(f) for f in subfolders(folder)}
    allowed = f"allowed are images ({', '.join(SUFFIXES)}), all in one folder or each in the folder of its class"
    filled = [f for f, paths in classes.items() if paths]
    if loose and filled:
        raise ConfigError(f"data.root: {folder} holds images beside the folder {filled[0].name} of images; {allowed}")
    if loose:
        return Files(folder, loose, [])
    if not filled:
        raise ConfigError(f"data.root: {folder} holds no images; {allowed}")
    if empty := [f for f in classes if f not in filled]:
        raise ConfigError(f"data.root: {empty[0]} holds no images; {allowed}")
    return Files(folder, [path for paths in classes.values() for path in paths], [f.name for f in classes])


def images_in(folder: Path) -> list[Path]:
    return [entry for entry in entries(folder) if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]


def images_below(folder: Path) -> list[Path]:
    return images_in(folder) + [path for below in subfolders(folder) for path in images_below(below)]


def in_threads(work: Callable[[int], None], count: int, threads: int | None, title: str) -> None:
    """work(0) ... work(count - 1); the first error, in this order, ends it.

    Pillow lets go of the interpreter while it decodes, so that threads share the cores; with pictures of a few
    kilobytes they wait for one another longer than they decode, and one thread is faster.
    """

    def block(indices: Sequence[int]) -> int:
        for i in indices:
            work(i)
        return len(indices)

    pool = ThreadPoolExecutor(threads)
    try:
        with Progress(title, count) as progress:
            for done in pool.map(block, (range(i, min(i + 64, count)) for i in range(0, count, 64))):
                progress.advance(done)
    finally:
        pool.shutdown(cancel_futures=True)
