"""Data sets of a few images, in the files that their loaders expect."""

import hashlib
import pickle
import struct
import tarfile
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


def shards(root: Path) -> Path:
    """Two tar files of 12 PNGs each, with their classes beside them."""
    made = sorted(pictures(root / "made").iterdir())
    for part in range(2):
        with tarfile.open(root / f"train-{part}.tar", "w") as tar:
            for number, path in enumerate(made[12 * part : 12 * part + 12]):
                path.with_suffix(".cls").write_text(f"{number % 3}\n")
                for file in (path, path.with_suffix(".cls")):
                    tar.add(file, file.name)
    return root


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


def celeba(root: Path) -> Path:
    """24, 8 and 12 images, 178x218, with two attributes."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    parts, attributes = [], []
    for i in range(1, 45):
        name = f"{i:06}.jpg"
        noise = np.random.default_rng(i).integers(256, size=(11, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((178, 218)).save(folder / "img_align_celeba" / name)
        parts.append(f"{name} {0 if i <= 24 else 1 if i <= 32 else 2}")
        attributes.append(f"{name}  {1 - 2 * (i % 3 == 0)} {2 * (i % 2) - 1}")
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    (folder / "list_attr_celeba.txt").write_text("\n".join(["44", "Bald Smiling ", *attributes]) + "\n")
    return root


def svhn(root: Path, wrong: int = 10) -> tuple[Path, dict[str, np.ndarray], dict[str, list[str]]]:
    """60 training and 20 test images, 32x32, by part as [N, C, H, W]; and what torchvision is to expect of the files.

    The digit 0 has the label 10; `wrong` is that of the test image number 5, if it is another.
    """
    from scipy.io import savemat

    images, entries = {}, {}
    root.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", 60), ("test", 20)):
        images[part] = np.random.default_rng(n).integers(256, size=(n, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8) % 10
        labels[labels == 0] = 10
        if part == "test" and wrong != 10:
            labels[5] = wrong
        file = root / f"{part}_32x32.mat"
        savemat(file, {"X": images[part].transpose(2, 3, 1, 0), "y": labels[:, None]})
        entries[part] = ["http://127.0.0.1:9/", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    return root, images, entries


def bands(path: Path, n: int = 48, channels: int = 5) -> Path:
    """An .npz of images of several channels, 8x12, in three classes."""
    noise = np.random.default_rng(0).integers(256, size=(n, channels, 8, 12), dtype=np.uint8)
    np.savez(path, images=noise, labels=np.arange(n) % 3)
    return path
