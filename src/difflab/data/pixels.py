"""Images by number: a tensor of levels, or what stands for one where the images are too many to be held in memory."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from difflab.progress import Progress

DIGEST = 16  # bytes of the hash of a file
BLOCK = 512


@runtime_checkable
class Pixels(Protocol):
    """Levels of images, uint8 [N, C, H, W], read and decoded when they are asked for.

    `pixels[where]` is a tensor, as it would be of a tensor of all images; `pixels[:]` holds them all. To keep only
    some without decoding them, `part(where)`. Objects go to worker processes by pickling.

    Attributes:
        shape: (N, C, H, W).
        dtype: torch.uint8.
    """

    @property
    def shape(self) -> torch.Size: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice | Sequence[int] | Tensor) -> Tensor: ...

    def part(self, where: slice | np.ndarray) -> Self: ...

    def contents(self) -> np.ndarray:
        """The hash of the content of each image, uint8 [N, DIGEST]; without decoding them."""
        ...

    def fingerprint(self) -> str:
        """A hash of the content of all images, in order, and of how they are decoded; without decoding them."""
        ...


class File(NamedTuple):
    """An encoded picture, what to call it in messages, and the field of the config that leads to it."""

    name: str
    content: bytes
    field: str = "data.root"


class Source(Protocol):
    """Encoded pictures by number: files of a folder, members of tar files, rows of a table."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> File: ...


class Decode(Protocol):
    """From an encoded picture to uint8 [C, H, W], all of one size; `repr` tells all that the result depends on.

    Raises:
        ConfigError: for content that is not a whole image, by its name.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def __call__(self, file: File) -> np.ndarray: ...


class FilePixels:
    """The pictures of a source, decoded one by one.

    Args:
        source: of all pictures.
        decode: from a picture to levels.
        hashes: of the content of every picture of the source, uint8 [all, DIGEST], see `content_hashes`.
        rows: which of the source these are, and in which order; None for all.
    """

    dtype = torch.uint8

    def __init__(self, source: Source, decode: Decode, hashes: np.ndarray, rows: np.ndarray | None = None) -> None:
        self.source, self.decode, self.hashes = source, decode, hashes
        self.rows = np.arange(len(source)) if rows is None else rows

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.rows), *self.decode.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, where: slice | Sequence[int] | Tensor) -> Tensor:
        rows = self.rows[where if isinstance(where, slice) else np.asarray(where, dtype=np.int64)]
        out = np.empty((len(rows), *self.decode.shape), dtype=np.uint8)
        for image, row in zip(out, rows.tolist(), strict=True):
            image[:] = self.decode(self.source[row])
        return torch.from_numpy(out)

    def part(self, where: slice | np.ndarray) -> "FilePixels":
        return FilePixels(self.source, self.decode, self.hashes, self.rows[where])

    def contents(self) -> np.ndarray:
        return self.hashes[self.rows]

    def fingerprint(self) -> str:
        content = blake2b(repr((self.decode, tuple(self.shape))).encode(), digest_size=12)
        for begin in range(0, len(self), BLOCK):
            content.update(self.hashes[self.rows[begin : begin + BLOCK]].tobytes())
        return content.hexdigest()


def content_hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST).digest()


def content_hashes(source: Source, what: str, look: Callable[[File], None] | None = None) -> np.ndarray:
    """The hash of every picture of a source, uint8 [N, DIGEST], with one picture in memory at a time.

    Args:
        what: they are, for the progress bar.
        look: is shown each file as it passes, and may refuse it.
    """
    hashes = np.empty((len(source), DIGEST), dtype=np.uint8)
    with Progress(f"reading {what}", len(source)) as progress:
        for i in range(len(source)):
            file = source[i]
            if look is not None:
                look(file)
            hashes[i] = np.frombuffer(content_hash(file.content), dtype=np.uint8)
            progress.advance()
    return hashes
