"""Data sets of a few images, in the files that their loaders expect."""

import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def pictures(folder: Path, n: int = 24, side: int = 32, classes: tuple[str, ...] = ()) -> Path:
    """n PNGs of random pixels, all in one folder or shared out among class folders."""
    for i in range(n):
        below = folder / classes[i % len(classes)] if classes else folder
        below.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(below / f"{i}.png")
    return folder


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the format of the MNIST files."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(root: Path, name: str = "MNIST") -> Path:
    """60 training and 20 test images, 28x28."""
    raw, rng = root / name / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    for part, n in (("train", 60), ("t10k", 20)):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(256, size=(n, 28, 28), dtype=np.uint8)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    return root


def cifar10(root: Path) -> Path:
    """100 training and 20 test images, 32x32; the checksums are not those of the real files."""
    folder, rng = root / "cifar-10-batches-py", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels = rng.integers(256, size=(20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": list(range(10)) * 2}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [*"abcdefghij"]}))
    return root
