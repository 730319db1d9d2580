"""Images in tar files (shards): where each of them lies, so that any can be read without those before it."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from difflab.data.kept import alone
from difflab.data.picture import SUFFIXES
from difflab.data.pixels import DIGEST, File, content_hash
from difflab.data.tar_files import examples, refusal
from difflab.errors import ConfigError
from difflab.files import unfinished
from difflab.progress import Progress

EDGE = 65_536  # bytes at either end of a shard that its index is kept under, beside its size and its time


class Index(NamedTuple):
    """The images of a shard: names (bytes), offsets and sizes in bytes, class numbers, hashes of their content."""

    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    hashes: np.ndarray


class Members:
    """The images of some shards, as a source of pictures.

    Each is compared with its hash when it is read: a shard that is replaced during a run is noticed.

    Args:
        shards: the files.
        indices: of each of them.
    """

    def __init__(self, shards: Sequence[Path], indices: Sequence[Index]) -> None:
        self.shards = list(shards)
        self.shard = np.repeat(np.arange(len(shards), dtype=np.int32), [len(index.names) for index in indices])
        self.index = Index(*(np.concatenate(columns) for columns in zip(*indices, strict=True)))

    def __len__(self) -> int:
        return len(self.shard)

    def name(self, i: int) -> str:
        return f"{self.shards[self.shard[i]]}: {self.index.names[i].decode()}"

    def __getitem__(self, i: int) -> File:
        try:
            with self.shards[self.shard[i]].open("rb", buffering=0) as file:
                file.seek(int(self.index.offsets[i]))
                content = file.read(int(self.index.sizes[i]))
        except OSError as error:
            raise ConfigError(f"data.root: {self.name(i)} cannot be read ({error.strerror})") from error
        if content_hash(content) != self.index.hashes[i].tobytes():
            raise ConfigError(f"data.root: {self.name(i)} is not what it was when the shard was indexed; start anew")
        return File(self.name(i), content)


def indexed(shards: Sequence[Path], cache: Path | None) -> list[Index]:
    """The index of each shard, read from the cache where it is known there; processes wait for the one that makes it.

    Raises:
        ConfigError: for a shard that is none, by the shard and the member.
    """
    with Progress("indexing shards, MB", sum(megabytes(shard) for shard in shards)) as progress:
        found = []
        for shard in shards:
            before = progress.done
            found.append(kept(shard, cache, progress))
            progress.advance(megabytes(shard) + before - progress.done)
    return found


def megabytes(shard: Path) -> int:
    return shard.stat().st_size // 2**20 + 1


def kept(shard: Path, cache: Path | None, progress: Progress) -> Index:
    """The index of a shard, made where the cache does not know it; not kept where nothing can be written."""
    if cache is None:
        return scanned(shard, progress)
    path = cache / f"shard-{key(shard)}.npz"
    with alone(path) as writable:
        known = read(path)
        if known is None:
            known = scanned(shard, progress)
            if writable:
                with suppress(OSError), unfinished(path) as new, new.open("wb") as file:
                    np.savez(file, **known._asdict())
    return known


def key(shard: Path) -> str:
    """What an index is kept under: name, size, time of change, and both ends of a shard."""
    stat = shard.stat()
    digest = blake2b(repr((1, shard.name, stat.st_size, stat.st_mtime_ns)).encode(), digest_size=12)
    with shard.open("rb") as file:
        digest.update(file.read(EDGE))
        file.seek(max(0, stat.st_size - EDGE))
        digest.update(file.read(EDGE))
    return digest.hexdigest()


def read(path: Path) -> Index | None:
    """A kept index; None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return Index(*(file[name] for name in Index._fields))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def scanned(shard: Path, progress: Progress) -> Index:
    """One pass over a shard; the progress is in megabytes.

    Raises:
        ConfigError: for a file that is no whole tar file, and for examples that are none, by the member.
    """
    images, before = [], progress.done
    for image in examples(shard):
        images.append(image)
        if image.offset // 2**20 > progress.done - before:
            progress.advance(image.offset // 2**20 + before - progress.done)
    if not images:
        raise refusal(shard, "holds no images", f"members KEY{', KEY'.join(SUFFIXES)}")
    names, offsets, sizes, labels, hashes = zip(*images, strict=True)
    return Index(
        np.array([name.encode() for name in names]),
        np.array(offsets, dtype=np.int64),
        np.array(sizes, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, DIGEST),
    )
