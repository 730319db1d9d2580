"""Batches of a stream, and where it stands after each of them."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from difflab.data.batches import Batch, flipped, loader
from difflab.data.pixels import Decode
from difflab.data.stream import Example, Part, Position
from difflab.errors import ConfigError

REMEMBERED = 64  # batches beside those on their way, whose ends are known


class Share(NamedTuple):
    """Which part of a global batch a process assembles, and how.

    Attributes:
        first, last, total: its first example, the one after its last, and examples in the global batch.
        decode: of pictures.
        classes: their number, None for examples without.
        flip_seed: of mirroring; None for none.
    """

    first: int
    last: int
    total: int
    decode: Decode
    classes: int | None
    flip_seed: int | None

    def batch(self, examples: list[Example], step: int) -> Batch:
        """These examples as the share of a step."""
        values = torch.from_numpy(np.stack([self.decode(example.file) for example in examples]))
        labels = None
        if self.classes:
            for file, label in examples:
                if label is None or not 0 <= label < self.classes:
                    raise ConfigError(
                        f"data.classes: {file.name} has class {label}; allowed are 0 to {self.classes - 1}"
                    )
            labels = torch.tensor([example.label for example in examples])
        return flipped(Batch(values, step, self.first, self.total, labels), self.flip_seed)


class Batches(IterableDataset[tuple[Batch, Position]]):
    """A process's shares of all batches from a step on, each with where its part of the stream stands after it.

    Batch s is of part s modulo the number of workers, whose turn it is as `DataLoader` asks them.
    """

    def __init__(self, parts: list[Part], share: Share, start: int, positions: list[Position]) -> None:
        self.parts, self.share, self.start, self.positions = parts, share, start, positions

    def __iter__(self) -> Iterator[tuple[Batch, Position]]:
        worker = get_worker_info()
        if worker is not None:
            import fsspec.asyn

            fsspec.asyn.reset_lock()  # of the process that this one was forked from; connections would wait for it
        step = self.start + (0 if worker is None else worker.id)
        turn = step % len(self.parts)
        examples = self.parts[turn].examples(self.positions[turn])
        while True:
            try:
                some = list(islice(examples, self.share.last - self.share.first))
                batch = self.share.batch([example for example, _ in some], step)
            except ConfigError as error:  # training has begun: nothing to refuse
                raise RuntimeError(str(error)) from error
            yield batch, some[-1][1]
            step += len(self.parts)


class Feed:
    """The batches of a process, which remembers where the stream stood after each of the last ones.

    Args:
        parts: of this process, one for each worker.
        share: of each batch.
        start: the step of the first batch.
        positions: of the parts before it.
        workers: 0 for none, else as many as parts.
    """

    def __init__(self, parts: list[Part], share: Share, start: int, positions: list[Position], workers: int) -> None:
        self.batches = Batches(parts, share, start, positions)
        self.workers, self.start, self.positions = workers, start, positions
        self.after: dict[int, Position] = {}

    def __iter__(self) -> Iterator[Batch]:
        self.after.clear()
        for batch, position in loader(self.batches, self.workers):
            self.after[batch.step] = position
            self.after.pop(batch.step - REMEMBERED - 2 * len(self.positions), None)
            yield batch

    def at(self, step: int) -> list[Position]:
        """Where the parts stand when all batches before this one have been trained on."""
        parts = len(self.positions)
        last = [step - 1 - (step - 1 - part) % parts for part in range(parts)]
        return [self.after[s] if s >= self.start else at for s, at in zip(last, self.positions, strict=True)]
