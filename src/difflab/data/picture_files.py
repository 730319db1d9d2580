"""Many picture files as images: decoded into memory, or one by one when they are asked for."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from difflab.data.kept import alone
from difflab.data.picture import Fit, Paths, contents
from difflab.data.pixels import DIGEST, File, FilePixels, Pixels, content_hash, content_hashes
from difflab.files import unfinished
from difflab.progress import Progress

SMALL = 4096  # bytes of a file of which threads decode no more than one


class Read(NamedTuple):
    """Images in the order of their files, and the hash of the content of each file, uint8 [N, DIGEST]."""

    pixels: Tensor | Pixels
    hashes: np.ndarray


def fit_in_memory(images: int, shape: Sequence[int], memory_gb: float) -> bool:
    """Whether so many images, decoded, are no more than memory is granted for."""
    return images * prod(shape) <= memory_gb * 1e9


def decoded(paths: Sequence[Path], fit: Fit, what: str) -> Read:
    """All of them in memory.

    Args:
        what: they are, for the progress bar.

    Raises:
        ConfigError: for a file that is not the image it is named as.
    """
    pixels = np.empty((len(paths), *fit.shape), dtype=np.uint8)
    hashes = np.empty((len(paths), DIGEST), dtype=np.uint8)

    def load(i: int) -> None:
        content = contents(paths[i])
        hashes[i] = np.frombuffer(content_hash(content), dtype=np.uint8)
        pixels[i] = fit(File(str(paths[i]), content))

    small = len(contents(paths[len(paths) // 2])) < SMALL
    in_threads(load, len(paths), 1 if small else os.cpu_count(), f"reading {what}")
    return Read(torch.from_numpy(pixels), hashes)


def on_demand(paths: Sequence[Path], fit: Fit, what: str, cache: Path | None) -> Read:
    """None of them in memory; files whose name, size and time of change are known are not even read.

    Args:
        what: they are, for the progress bar.
        cache: folder where the hashes are kept; None for nowhere.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    hashes = known_hashes(list(paths), what, cache)
    return Read(FilePixels(Paths(list(paths)), fit, hashes), hashes)


def known_hashes(paths: list[Path], what: str, cache: Path | None) -> np.ndarray:
    """The hash of the content of every file, uint8 [N, DIGEST], from the cache as far as nothing has changed."""
    if cache is None:
        return content_hashes(Paths(paths), what)
    keys = [stamp(path) for path in paths]
    table = cache / f"files-{blake2b(os.path.commonpath(paths).encode(), digest_size=12).hexdigest()}.npy"
    with alone(table) as writable:
        known = read_table(table) if writable else {}
        new = [i for i, key in enumerate(keys) if key not in known]
        if new:
            found = content_hashes(Paths([paths[i] for i in new]), what)
            known |= {keys[i]: row.tobytes() for i, row in zip(new, found, strict=True)}
            if writable:
                rows = b"".join(key + content for key, content in known.items())
                with suppress(OSError), unfinished(table) as path, path.open("wb") as file:
                    np.save(file, np.frombuffer(rows, dtype=np.uint8).reshape(-1, 2 * DIGEST))
    return np.frombuffer(b"".join(known[key] for key in keys), dtype=np.uint8).reshape(-1, DIGEST)


def stamp(path: Path) -> bytes:
    """What changes when a file is written: a hash of its name, size and time; of a missing one, of its name."""
    try:
        about = path.stat()
    except OSError:
        return content_hash(str(path.absolute()).encode())
    return content_hash(f"{path.absolute()} {about.st_size} {about.st_mtime_ns}".encode())


def read_table(path: Path) -> dict[bytes, bytes]:
    """Hashes of contents by stamps; empty where the file is missing or damaged."""
    try:
        table = np.load(path, allow_pickle=False)
        return {row[:DIGEST].tobytes(): row[DIGEST:].tobytes() for row in table.reshape(-1, 2 * DIGEST)}
    except (OSError, ValueError, EOFError):
        return {}


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
