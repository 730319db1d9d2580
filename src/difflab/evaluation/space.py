"""The data in the space of one feature extractor: its training and test parts, computed once and kept."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from difflab.data import ImageData, Images, Pixels
from difflab.errors import ConfigError
from difflab.evaluation.processes import gather, rank_and_size
from difflab.features import Extracted, Extractor
from difflab.progress import Progress

PIECE = 256  # pictures between two looks at the progress bar, and the share of a process


class FeatureSpace:
    """Features of pictures, shared by all processes, and those of the data from a cache.

    The cache's key is made of the content of the part, of how levels become pictures, and of the extractor's weights
    and preprocessing: a changed image changes it. Files appear whole, by renaming.

    Args:
        extractor: prepared by `prepare`.
        data: read already.
        cache: folder of the kept features.
    """

    def __init__(self, extractor: Extractor, data: ImageData, cache: Path) -> None:
        self.extractor, self.data, self.cache = extractor, data, cache

    def prepare(self, device: torch.device) -> None:
        """Get the extractor ready on a device, and the features of both parts.

        Raises:
            ConfigError: where that cannot be, with the reason.
        """
        try:
            self.load(device)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"cache: {self.cache}: {reason}; allowed are folders that can be written to") from error

    def load(self, device: torch.device) -> None:
        train, test = (
            Images(self.pictures(part.pixels), part.labels) for part in (self.data.reference, self.data.test)
        )
        self.extractor.prepare(train, test, self.data.classes, self.data.fingerprint(), self.cache)
        self.extractor.to(device)
        self.ready = self.train, self.test

    def pictures(self, pixels: Tensor | Pixels) -> Tensor | Pixels:
        """Levels as 8-bit pictures; files that are decoded when asked for are pictures already."""
        return self.data.scaling.picture(pixels) if isinstance(pixels, Tensor) else pixels

    @cached_property
    def train(self) -> Extracted:
        """Features of the whole training part, the reference of every distance."""
        return self.kept(self.data.reference, "the training part")

    @cached_property
    def test(self) -> Extracted:
        """Features of the test part."""
        return self.kept(self.data.test, "the test part")

    def of(self, pictures: Callable[[slice], Tensor], n: int, what: str) -> Extracted:
        """Features of n pictures, each process's share computed by itself; equal on all processes.

        Args:
            pictures: 8-bit pictures, [n, C, H, W], a slice at a time.
            what: they are, for the progress bar.
        """
        rank, size = rank_and_size()
        begins = range(0, n, PIECE)
        share: dict[int, Extracted] = {}
        with Progress(f"{self.extractor.name} features of {what}", min(n, len(begins[rank::size]) * PIECE)) as progress:
            for begin in begins[rank::size]:
                share[begin] = self.extractor.extract(pictures(slice(begin, min(begin + PIECE, n))))
                progress.advance(min(PIECE, n - begin))
        pieces = list(gather(share).values())
        logits = [piece.logits for piece in pieces if piece.logits is not None]
        return Extracted(torch.cat([piece.features for piece in pieces]), torch.cat(logits) if logits else None)

    def kept(self, part: Images, what: str) -> Extracted:
        """Features of a part of the data, from the cache where they are there."""
        key = json.dumps([1, self.data.fingerprint(part), self.extractor.identity()])
        path = self.cache / f"features-{blake2b(key.encode(), digest_size=12).hexdigest()}.safetensors"
        rank, _ = rank_and_size()
        first = rank == 0
        if first:
            path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock") if first else nullcontext():
            known = gather({0: read(path)} if first else {})[0]
            if known is not None:
                return known
            found = self.of(lambda where: self.data.scaling.picture(part.pixels[where]), len(part), what)
            if first:
                tensors = {"features": found.features} | ({} if found.logits is None else {"logits": found.logits})
                new = path.with_suffix(".new")
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new)
                new.replace(path)
        return found


def read(path: Path) -> Extracted | None:
    """Kept features; None where they are missing or damaged."""
    try:
        content = load_file(path)
        return Extracted(content["features"], content.get("logits"))
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
