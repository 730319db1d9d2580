"""Batches of examples by number: whole ones, in an order that is a function of the seed and can begin anywhere."""

import os
import signal
from collections.abc import Iterable, Iterator
from multiprocessing import parent_process
from threading import Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from difflab.data.pixels import Pixels
from difflab.errors import ConfigError
from difflab.randomness import stream

MOST = 8  # workers where nobody says how many: enough of them for a network of one GPU
AHEAD = 4  # batches that each worker has ready


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
    """Whole batches: a gather from a tensor in memory, or files that are decoded now; mirrored, see `flipped`."""

    def __init__(self, values: Tensor | Pixels, labels: Tensor | None, flip_seed: int | None) -> None:
        self.values, self.labels, self.flip_seed = values, labels, flip_seed

    def __getitem__(self, share: Share) -> Batch:
        try:
            values = self.values[share.indices]
        except ConfigError as error:  # a file that has become unreadable since training began: nothing to refuse
            raise RuntimeError(str(error)) from error
        labels = None if self.labels is None else self.labels[share.indices]
        return flipped(Batch(values, share.step, share.first, share.total, labels), self.flip_seed)


def flipped(batch: Batch, seed: int | None) -> Batch:
    """The batch mirrored in place by coins that are a function of (seed, step, index); as it is for no seed."""
    if seed is not None:
        coins = stream(seed, "flip", batch.step).random(batch.total)[batch.first :][: len(batch.values)]
        mirrored = torch.from_numpy(coins < 0.5)
        batch.values[mirrored] = batch.values[mirrored].flip(-1)
    return batch


def workers_for(values: Tensor | Pixels | None, processes: int) -> int:
    """How many workers assemble batches where nobody says: none for a tensor, of which a batch is one gather.

    Otherwise a core for each, beside one for each of the processes that train.
    """
    if isinstance(values, Tensor):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, max(1, cores // processes - 1))


def loader(dataset: Dataset[Any], workers: int, sampler: Iterable[Share] | None = None) -> DataLoader:
    """Batches, made by so many workers (0: by this process), in memory that a GPU can copy from where there is one."""
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=workers,
        collate_fn=as_is,
        worker_init_fn=outlast_signals,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=AHEAD if workers else None,
    )


def as_is(batch: Any) -> Any:
    return batch


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
