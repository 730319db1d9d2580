"""Batches of data in memory: whole ones, in an order that is a function of the seed and can begin anywhere."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import parent_process
from threading import Thread
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from difflab.randomness import stream


class Batch(NamedTuple):
    """A rank's share of one global batch: examples and where they stand, for the random streams.

    Attributes:
        values: [n, *shape]: levels (uint8) of images, points (float32).
        step: number of the global batch since the start of training.
        first: index of this share's first example in the global batch.
        total: examples in the global batch.
        labels: class numbers, int64 [n], or None for data without classes.
    """

    values: Tensor
    step: int
    first: int
    total: int
    labels: Tensor | None = None


class Share(NamedTuple):
    """What a sampler asks of `Gather`: these examples, as the share of a batch that begins at `first` of `total`."""

    step: int
    indices: list[int]
    first: int
    total: int


class Order(Sampler[Share]):
    """One rank's shares: epoch after epoch of permutations, each a function of (seed, epoch).

    The examples left over at the end of an epoch that do not fill a batch wait for another permutation.
    """

    def __init__(self, examples: int, batch_size: int, seed: int, start: int, rank: int, ranks: int) -> None:
        self.examples, self.batch_size, self.seed, self.start = examples, batch_size, seed, start
        share = batch_size // ranks
        self.first, self.stop = rank * share, (rank + 1) * share

    def __iter__(self) -> Iterator[Share]:
        a_epoch = self.examples // self.batch_size
        step = self.start
        while True:
            epoch, batch = divmod(step, a_epoch)
            order = stream(self.seed, "order", epoch).permutation(self.examples)
            for b in range(batch, a_epoch):
                whole = order[b * self.batch_size : (b + 1) * self.batch_size]
                yield Share(step, whole[self.first : self.stop].tolist(), self.first, self.batch_size)
                step += 1


class Gather(Dataset[Batch]):
    """Whole batches from a tensor in memory, mirrored by coins that are a function of (seed, step, index)."""

    def __init__(self, values: Tensor, labels: Tensor | None, flip_seed: int | None) -> None:
        self.values, self.labels, self.flip_seed = values, labels, flip_seed

    def __getitem__(self, share: Share) -> Batch:
        values = self.values[share.indices]
        if self.flip_seed is not None:
            coins = stream(self.flip_seed, "flip", share.step).random(share.total)[share.first :][: len(values)]
            mirrored = torch.from_numpy(coins < 0.5)
            values[mirrored] = values[mirrored].flip(-1)
        labels = None if self.labels is None else self.labels[share.indices]
        return Batch(values, share.step, share.first, share.total, labels)


def outlast_signals(worker: int) -> None:
    """A signal to stop goes to all processes of a job at once: workers leave it to the one that saves and ends them."""
    for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # which tells who has sent it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        parent = parent_process()
        assert parent is not None and parent.pid is not None
        Thread(target=end_for, args=(parent.pid,), daemon=True).start()


def end_for(process: int) -> None:
    """Wait until this process says SIGTERM, and end."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)
