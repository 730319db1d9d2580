"""Array files: opened without unpickling, checked, and their images on demand."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from difflab.data.kept import alone
from difflab.data.picture_files import stamp
from difflab.data.pixels import DIGEST, content_hash
from difflab.errors import ConfigError
from difflab.files import unfinished
from difflab.progress import Progress

LAYOUTS = ("auto", "nhw", "nhwc", "nchw")
USUAL = {"images": ("images", "x", "arr_0"), "labels": ("labels", "y", "arr_1")}
FLOATS = "(255 * x).round().astype('uint8') of numbers from 0 to 1"


class Rows(NamedTuple):
    """Images as a file has them, and their labels, integers [N], or None."""

    images: np.ndarray
    labels: np.ndarray | None
    path: Path


class ArrayPixels:
    """Images of an .npy file, read from it when they are asked for.

    Args:
        path: of the file, uint8 [N, H, W], [N, H, W, C] or [N, C, H, W].
        layout: which of them.
        hashes: of the content of every image of the file, uint8 [all, DIGEST].
        rows: which of the file these are, and in which order.
    """

    dtype = torch.uint8

    def __init__(self, path: Path, layout: str, hashes: np.ndarray, rows: np.ndarray) -> None:
        self.path, self.layout, self.hashes, self.rows = path, layout, hashes, rows
        self.opened: np.ndarray | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"opened": None}  # a map of the file would be sent to workers as its content

    def file(self) -> np.ndarray:
        if self.opened is None:
            self.opened = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return self.opened

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.rows), *channels_first(self.file()[:1], self.layout).shape[1:]))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, where: slice | Sequence[int] | Tensor) -> Tensor:
        rows = self.rows[where if isinstance(where, slice) else np.asarray(where, dtype=np.int64)]
        return torch.from_numpy(np.ascontiguousarray(channels_first(self.file()[rows], self.layout)))

    def part(self, where: slice | np.ndarray) -> "ArrayPixels":
        return ArrayPixels(self.path, self.layout, self.hashes, self.rows[where])

    def contents(self) -> np.ndarray:
        return self.hashes[self.rows]

    def fingerprint(self) -> str:
        content = blake2b(repr(tuple(self.shape)).encode(), digest_size=12)
        content.update(self.contents().tobytes())
        return content.hexdigest()


def row_hashes(rows: Rows, layout: str, cache: Path | None) -> np.ndarray:
    """The hash of every image [C, H, W], uint8 [N, DIGEST]; of a file that has not changed, from the cache."""
    images, path = channels_first(rows.images, layout), rows.path
    if cache is None:
        return hashed(images, path)
    table = cache / f"array-{stamp(path).hex()}-{layout}.npy"
    with alone(table) as writable:
        with suppress(OSError, ValueError, EOFError):
            known = np.load(table, allow_pickle=False)
            if known.shape == (len(images), DIGEST) and known.dtype == np.uint8:
                return known
        found = hashed(images, path)
        if writable:
            with suppress(OSError), unfinished(table) as new, new.open("wb") as file:
                np.save(file, found)
        return found


def hashed(images: np.ndarray, path: Path) -> np.ndarray:
    hashes = np.empty((len(images), DIGEST), dtype=np.uint8)
    with Progress(f"reading {path}", len(images)) as progress:
        for i, image in enumerate(images):
            hashes[i] = np.frombuffer(content_hash(image.tobytes()), dtype=np.uint8)
            progress.advance()
    return hashes


def opened(path: Path, field: str, mode: Literal["r"] | None) -> Any:
    """An array file, or an archive of them; nothing in it is unpickled.

    Raises:
        ConfigError: where it cannot be read.
    """
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    except Exception as error:  # a damaged file raises whatever its format has
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"{field}: {path} cannot be read ({reason}); allowed are whole files as numpy.save and numpy.savez write "
            "them, of arrays of numbers"
        ) from error


def member(archive: Any, path: Path, what: str, name: str | None) -> np.ndarray | None:
    """The array of an archive that holds the images, or the labels; None for labels that are not there.

    Raises:
        ConfigError: where there is no such array, or it cannot be read.
    """
    names = list(archive.keys())
    if name is None:
        usual = [known for known in USUAL[what] if known in names]
        if not usual and what == "labels":
            return None
        name = usual[0] if usual else names[0] if len(names) == 1 else None
    if name not in names:
        asked = "null" if name is None else name
        raise ConfigError(f"data.{what}: {asked}; allowed are the arrays of {path}: {', '.join(names) or 'none'}")
    try:
        return archive[name]
    except Exception as error:  # zip files have many errors, and objects would have to be unpickled
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"data.{what}: {name} of {path} cannot be read ({reason}); allowed are numbers") from error


def check_images(images: np.ndarray, field: str, path: Path) -> None:
    """Refuse what holds no images of levels."""
    if images.dtype != np.uint8:
        instead = FLOATS if images.dtype.kind == "f" else "x.astype('uint8') of numbers from 0 to 255"
        raise ConfigError(f"{field}: {path} holds {images.dtype}; allowed is uint8, such as {instead}")
    if images.ndim not in (3, 4) or not all(images.shape):
        raise ConfigError(
            f"{field}: {path} holds an array of shape {images.shape}; allowed are [N, H, W], [N, H, W, C], [N, C, H, W]"
        )


def checked_labels(labels: np.ndarray, images: int, path: Path) -> np.ndarray:
    """Class numbers, int64 [N].

    Raises:
        ConfigError: for other numbers, and another number of them.
    """
    flat = labels.reshape(len(labels)) if labels.shape in ((images,), (images, 1)) else None
    if flat is None or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"data.labels: {labels.dtype} of shape {labels.shape} for {images} images of {path}; allowed are whole "
            f"numbers of shape ({images},)"
        )
    if flat.min() < 0:
        i = int(flat.argmin())
        raise ConfigError(f"data.labels: {int(flat[i])} for image {i} of {path}; allowed are whole numbers from 0")
    return flat.astype(np.int64)


def layout_of(rows: Rows, asked: str) -> str:
    """nhw, nhwc or nchw.

    Raises:
        ConfigError: where the array is not that, or where nobody can tell.
    """
    shape = rows.images.shape
    if (len(shape) == 3) != (asked == "nhw") and asked != "auto":
        raise ConfigError(f"data.layout: {asked}; {rows.path} holds an array of shape {shape}")
    if len(shape) == 3 or asked != "auto":
        return "nhw" if len(shape) == 3 else asked
    if shape[1] == shape[3]:
        raise ConfigError(f"data.layout: auto; {rows.path} of shape {shape} could be either: allowed are nhwc, nchw")
    return "nhwc" if shape[3] < shape[1] else "nchw"


def channels_first(images: np.ndarray, layout: str) -> np.ndarray:
    """[N, C, H, W], as a view."""
    return images[:, None] if layout == "nhw" else images.transpose(0, 3, 1, 2) if layout == "nhwc" else images
