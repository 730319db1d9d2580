"""Data sets whose training images can only be read in order: streams from the network."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difflab.data.batches import workers_for
from difflab.data.feed import Feed, Share
from difflab.data.heads import heads
from difflab.data.image_data import ImageData, Images
from difflab.data.picture import on_white
from difflab.data.pixels import FilePixels
from difflab.data.pools import Pool, classes_of, decoded, fit_of
from difflab.data.stream import BEGINNING, Part, Position, Stream
from difflab.errors import ConfigError


class Streamed(ImageData):
    """Images of a stream; what is not trained on is its first images, which are held in memory.

    Test images are the first of the test stream, or, where there is none, of the training stream; the next of the
    training stream are those for validation, and the next after them the reference: what stands for the training part
    in statistics, distances and features, and is trained on like all others. Training leaves out whatever equals a test
    or validation image.

    Batches are functions of the seed, the number of processes and that of workers; where the stream stands is kept in
    the checkpoint, so that a resumed run sees what it would have.

    Attributes:
        place: the field of the config that says where the stream comes from.

    Args:
        root: where the stream comes from.
        workers: that read and decode, for each process; None for as many as are useful. Never more than shards.
        test_size, val_size, reference_size: images in memory.
        buffer: images that are shuffled at a time, by each worker.
        batch_size, flip, seed, size, channels, classes: as in `Pooled`.

    Raises:
        ConfigError: for sizes that are not positive, and for a stream that cannot be read or is too short.
    """

    streamed = True
    form = "channels x size, or channels x height x width"
    kinds = "numbers beside the images, or none"
    licence = "that of the images"
    place: str

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
        classes: str | bool | int,
        test_size: int,
        reference_size: int,
        buffer: int,
    ) -> None:
        super().__init__(root, batch_size, val_size, workers, flip, seed)
        for field, value in (("test_size", test_size), ("reference_size", reference_size), ("buffer", buffer)):
            if value < 1:
                raise ConfigError(f"data.{field}: {value}; allowed are whole numbers from 1 on")
        self.fit, self.wanted = fit_of(size, channels), classes
        self.test_size, self.reference_size, self.buffer = test_size, reference_size, buffer
        self.feed: Feed | None = None
        self.resumed: dict[str, Any] | None = None

    @abstractmethod
    def open(self) -> tuple[Stream, Stream | None]:
        """The streams for training and, where it is named, for testing.

        Raises:
            ConfigError: where they cannot be had.
        """

    def read(self) -> tuple[Images, Images]:
        self.stream, of_test = self.open()
        sizes = {"val_size": self.val_size, "reference_size": self.reference_size}
        known: set[bytes] = set()
        if of_test is None:
            test, val, reference = self.heads(self.stream, {"test_size": self.test_size} | sizes, known)
        else:
            (test,) = self.heads(of_test, {"test_size": self.test_size}, known)
            val, reference = self.heads(self.stream, sizes, known)
        self.known = frozenset(pool.hashes[i].tobytes() for pool in (test, val) for i in range(len(pool.hashes)))
        self.classes = classes_of([reference, val, test], self.wanted, self.class_names)
        self.held_out = self.images(val)
        return self.images(reference), self.images(test)

    def heads(self, stream: Stream, sizes: dict[str, int], known: set[bytes]) -> list[Pool]:
        """The first images of a stream, see `difflab.data.heads`."""
        return heads(stream, sizes, known, self.place)

    def enough(self, images: int, needed: int) -> None:
        """A stream has no end: whatever its reference, batches are full."""

    def images(self, pool: Pool) -> Images:
        """All of a pool, decoded."""
        labels = torch.from_numpy(pool.labels) if self.classes else None
        return Images(decoded(FilePixels(pool.source, self.fit, pool.hashes)), labels)

    def train_dataloader(self) -> Feed:
        """Batches without end, from where the stream stood after the steps that the trainer has done.

        Raises:
            ConfigError: where the processes cannot share a batch evenly, or are not as many as before.
        """
        trainer, done = self.trainer, self.done()
        assert trainer is not None
        rank, ranks = trainer.global_rank, trainer.world_size
        positions = self.positions(done, rank, ranks)
        count, size = len(positions), self.batch_size // ranks
        flip_seed = self.seed if self.flip else None
        share = Share(rank * size, (rank + 1) * size, self.batch_size, self.fit, self.classes, flip_seed)
        parts = [
            Part(self.stream, self.known, self.buffer, self.seed, rank * count + i, ranks * count) for i in range(count)
        ]
        self.feed = Feed(parts, share, done, positions, 0 if self.workers == 0 and count == 1 else count)
        return self.feed

    def positions(self, done: int, rank: int, ranks: int) -> list[Position]:
        """Where the parts of a process stand after so many steps; there are as many parts as when training began."""
        if self.feed is not None:
            return self.feed.at(done)
        if self.resumed is None:
            asked = workers_for(None, ranks) if self.workers is None else self.workers
            return [BEGINNING] * max(1, min(asked, self.stream.rows.num_shards // ranks))
        before, step = self.resumed["parts"], self.resumed["done"]
        if len(before) != ranks:
            raise ConfigError(
                f"trainer.devices: {ranks} processes; the checkpoint says where a stream stood that {len(before)} "
                f"share: allowed are {len(before)}"
            )
        if step != done:
            raise RuntimeError(f"the checkpoint is of step {done}, the position of the stream of step {step}")
        return before[rank]

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands in every process; called by all of them, as Lightning saves a checkpoint."""
        if self.feed is None:
            return {}
        done = self.done()
        return {"done": done, "parts": gathered(self.feed.at(done))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.resumed, self.feed = state_dict, None

    def viewed(self, pictures: Tensor) -> Tensor:
        return on_white(pictures) if self.fit.channels % 2 == 0 else pictures


def gathered(own: Any) -> list[Any]:
    """What each process has, in the order of their ranks."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    everywhere: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everywhere, own)
    return everywhere
