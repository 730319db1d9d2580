"""Images that the data pipeline delivers, against those that the published CIFAR-10 network consumes."""

import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from difflab.data import ImageData, ImageFolder, Images, open_shards
from difflab.randomness import stream
from difflab.runs.benchmarks.networks import bare_step, ours, random_images
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved

SIDE, BATCH, HELD_OUT, A_SHARD = 32, 128, 64, 6000
TIMES = 5  # as many as the network consumes


def pictures(count: int) -> Iterator[tuple[str, bytes]]:
    """Smooth random pictures as JPEG files, each another, about as large as photographs of that size are."""
    coarse = stream(0, "benchmark", "pictures").integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    for i, levels in enumerate(coarse):
        content = BytesIO()
        Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
        yield f"{i:06d}.jpg", content.getvalue()


def write(folder: Path, count: int) -> None:
    """The same pictures as files in folder/files and as shards in folder/shards."""
    (folder / "files").mkdir()
    (folder / "shards").mkdir()
    made = pictures(count)
    for number in range(-(-count // A_SHARD)):
        with tarfile.open(folder / "shards" / f"train-{number:03d}.tar", "w") as tar:
            for name, content in islice(made, A_SHARD):
                (folder / "files" / name).write_bytes(content)
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, BytesIO(content))


class InMemory(ImageData):
    """Random images in memory, as many as are asked for.

    Args:
        count: of them.
    """

    licence = "none"

    def __init__(self, count: int) -> None:
        super().__init__("", BATCH, HELD_OUT, None, True, 0)
        self.count = count

    def read(self) -> tuple[Images, Images]:
        levels = stream(0, "benchmark").integers(0, 256, (self.count, 3, SIDE, SIDE), dtype=np.uint8)
        whole = Images(torch.from_numpy(levels), None)
        return whole, whole.part(slice(HELD_OUT))


def sources(folder: Path, count: int) -> dict[str, ImageData]:
    """The three pipelines, decoding on demand where there is something to decode."""
    common: dict[str, Any] = {"batch_size": BATCH, "val_size": HELD_OUT, "workers": None, "flip": True, "seed": 0}
    common |= {"size": SIDE, "channels": 3, "classes": False, "test_fraction": 0.01, "memory_gb": 0.0}
    of_stream = {"test_size": 1, "reference_size": 1, "buffer": 1}
    return {
        "memory": InMemory(count),
        "JPEG files": ImageFolder(root=str(folder / "files"), **common),
        "shards": open_shards(root=str(folder / "shards"), train="train-*.tar", test=None, **common, **of_stream),
    }


def delivered(data: ImageData, images: int) -> float:
    """Images a second from the loader that training has, after the first batches."""
    trainer: Any = SimpleNamespace(global_step=0, accumulate_grad_batches=1, global_rank=0, world_size=1)
    data.trainer = trainer
    batches = iter(data.train_dataloader())
    for _ in range(8):
        next(batches)
    begun = time.perf_counter()
    taken = max(8, images // BATCH)
    for _ in range(taken):
        next(batches)
    return taken * BATCH / (time.perf_counter() - begun)


def consumed(settings: dict[str, Any]) -> float:
    """Images a second of a bare training loop on the published CIFAR-10 network, with nothing to wait for."""
    size = settings["batch_size"]
    step = bare_step(ours(size), random_images(size))
    seconds = interleaved({"network": step}, settings["steps"], label="the network")["network"]
    return size / median(seconds)


def data(settings: dict[str, Any]) -> list[Row]:
    """The slowest of the three pipelines, nothing else running, against the network."""
    count = settings["images"]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), count)
        found = {}
        for name, one in sources(Path(folder), count).items():
            one.setup()
            found[name] = delivered(one, count)
    network, slowest = consumed(settings), min(found.values())
    each = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items())
    how = (
        f"images a second of the slowest source: {each}; {count:,} images of {SIDE}x{SIDE}, batches of {BATCH}, "
        f"default workers on {os.cpu_count()} cores; against unet_cifar10 in training, batch {settings['batch_size']}"
    )
    met = slowest >= TIMES * network
    return [Row("data", slowest, network, slowest / network, "", f"at least {TIMES}", met, how)]
