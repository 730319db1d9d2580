"""What a data set is to the rest of the code: parts in memory, and batches that depend on nothing but seed and step."""

from abc import ABC, abstractmethod
from hashlib import blake2b
from math import ceil
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from difflab.data.batches import Gather, Order, Share, outlast_signals
from difflab.data.scaling import Plain, Scaling
from difflab.distributions import Distribution
from difflab.errors import ConfigError


class Part(Protocol):
    """Examples of a data set and their class numbers, int64 [N], or None for data without classes."""

    @property
    def values(self) -> Tensor:
        """[N, *shape]."""
        ...

    @property
    def labels(self) -> Tensor | None: ...

    def __len__(self) -> int: ...

    def part(self, where: slice) -> Self: ...


P = TypeVar("P", bound=Part)


class Split(NamedTuple, Generic[P]):
    """The parts of a data set: to train on, to choose by, to report on, and all that may be learnt from.

    Attributes:
        reference: what a copy would be copied from, and what features are trained on.
    """

    train: P
    val: P
    test: P
    reference: P


class Indexed(LightningDataModule, ABC, Generic[P]):
    """A data set held in memory.

    Attributes:
        shape: of one example, set by `setup`.
        classes: number of classes, or None.
        levels: how many values a number can take, or None where it may be any.
        bounded: whether the numbers of the model lie between -1 and 1.
        scaling: between examples and the numbers of the model (`encode`, `decode`).
        sigma_data: standard deviation of what may be learnt from in the model's numbers, over all of them.
        distribution: the exact law of the examples in the model's numbers, where it is known.

    Args:
        batch_size: examples in the global batch, over all processes and one step of accumulation.
        val_size: examples held out for choices (never trained on, never reported).
        workers: processes that assemble batches; 0 is fastest for small examples in memory.
        flip: whether training examples are mirrored at random.
        seed: of the order of the examples and of the flips.

    Raises:
        ConfigError: for a size that is not positive.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    levels: int | None
    bounded: bool
    scaling: Scaling | Plain
    sigma_data: float
    licence: str
    distribution: Distribution | None = None

    def __init__(self, batch_size: int, val_size: int, workers: int, flip: bool, seed: int) -> None:
        super().__init__()
        for field, value, least in (("batch_size", batch_size, 1), ("val_size", val_size, 1), ("workers", workers, 0)):
            if value < least:
                raise ConfigError(f"data.{field}: {value}; allowed are whole numbers from {least} on")
        self.batch_size, self.val_size, self.workers = batch_size, val_size, workers
        self.flip, self.seed = flip, seed
        self.ready = False

    @abstractmethod
    def split(self) -> Split[P]:
        """Read or draw all parts.

        Raises:
            ConfigError: where they cannot be had, or are too small for a batch.
        """

    @abstractmethod
    def spread(self, values: Tensor) -> float:
        """The standard deviation of these examples in the model's numbers."""

    def setup(self, stage: str | None = None) -> None:
        """Read or draw the parts, once."""
        if self.ready:
            return
        self.train, self.val, self.test, self.reference = self.split()
        self.shape = tuple(self.reference.values.shape[1:])
        self.sigma_data = max(self.spread(self.reference.values), 1e-3)
        self.ready = True

    def fingerprint(self, part: P | None = None) -> str:
        """A hash of the content of a part, the training part where none is given: what caches are named by."""
        part = self.reference if part is None else part
        content = blake2b(digest_size=12)
        content.update(repr((self.levels, part.values.shape)).encode())
        content.update(part.values.contiguous().numpy().data)
        if part.labels is not None:
            content.update(part.labels.contiguous().numpy().data)
        return content.hexdigest()

    def train_dataloader(self) -> DataLoader:
        """Batches without end, from the step that the trainer has reached: a resumed run sees what it would have.

        Raises:
            ConfigError: where the processes cannot share a batch evenly.
        """
        trainer = self.trainer
        assert trainer is not None
        if self.batch_size % trainer.world_size:
            raise ConfigError(
                f"data.batch_size: {self.batch_size} cannot be shared by {trainer.world_size} processes; "
                f"allowed are multiples of {trainer.world_size}"
            )
        done = trainer.global_step * trainer.accumulate_grad_batches
        order = Order(len(self.train), self.batch_size, self.seed, done, trainer.global_rank, trainer.world_size)
        gather = Gather(self.train.values, self.train.labels, self.seed if self.flip else None)
        return DataLoader(
            gather, sampler=order, batch_size=None, num_workers=self.workers, worker_init_fn=outlast_signals
        )

    def val_dataloader(self) -> DataLoader:
        """The held-out examples in order, none of them twice, in batches that every rank has a share of.

        Every rank sees the same number of batches and none is empty, so that no rank waits for another for ever.

        Raises:
            ConfigError: for fewer examples than processes.
        """
        trainer, held_out = self.trainer, len(self.val)
        assert trainer is not None
        rank, ranks = trainer.global_rank, trainer.world_size
        if held_out < ranks:
            raise ConfigError(f"data.val_size: {held_out} for {ranks} processes; allowed are numbers from {ranks} on")
        batches = min(ceil(held_out / self.batch_size), held_out // ranks)
        shares = []
        for b in range(batches):
            start, stop = held_out * b // batches, held_out * (b + 1) // batches
            first, last = (stop - start) * rank // ranks, (stop - start) * (rank + 1) // ranks
            shares.append(Share(b, list(range(start + first, start + last)), first, stop - start))
        return DataLoader(Gather(self.val.values, self.val.labels, None), sampler=shares, batch_size=None)
