"""What a data set is to the rest of the code: parts, and batches that depend on nothing but seed and step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from difflab.data.batches import Gather, Order, Share, loader, workers_for
from difflab.data.kept import kept
from difflab.data.largest_distance import largest_distance
from difflab.data.pixels import Pixels
from difflab.data.scaling import Plain, Scaling
from difflab.data.statistics import Statistics
from difflab.distributions import Distribution
from difflab.errors import ConfigError


class Part(Protocol):
    """Examples of a data set and their class numbers, int64 [N], or None for data without classes."""

    @property
    def values(self) -> Tensor | Pixels:
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
    """A data set whose examples can be had by number: from memory, or decoded when they are asked for.

    Attributes:
        shape: of one example, set by `setup`.
        classes: number of classes, or None.
        class_names: what the classes are called, in the order of their numbers, or None.
        levels: how many values a number can take, or None where it may be any.
        bounded: whether the numbers of the model lie between -1 and 1.
        scaling: between examples and the numbers of the model (`encode`, `decode`).
        statistics: of what may be learnt from, in the model's numbers.
        sigma_data: their standard deviation over all of them.
        distribution: the exact law of the examples in the model's numbers, where it is known.
        licence: of the examples.
        form, kinds, division, where: shape, classes, split, and where which files must lie, in words.
        streamed: whether training examples come in an order of their own, without end, and not by number.
        cache: folder where what takes long to compute is kept by content; None for nowhere.

    Args:
        batch_size: examples in the global batch, over all processes and one step of accumulation.
        val_size: examples held out for choices (never trained on, never reported).
        workers: processes that assemble batches; None for as many as are useful: none for examples in memory.
        flip: whether training examples are mirrored at random.
        seed: of the order of the examples and of the flips.

    Raises:
        ConfigError: for a size that is not positive.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: Sequence[str] | None = None
    levels: int | None
    bounded: bool
    scaling: Scaling | Plain
    statistics: Statistics
    sigma_data: float
    licence: str = "not stated"
    form: str = "not stated"
    kinds: str = "none"
    division: str = "not stated"
    where: str = "not stated"
    distribution: Distribution | None = None
    cache: Path | None = None
    streamed: bool = False

    def __init__(self, batch_size: int, val_size: int, workers: int | None, flip: bool, seed: int) -> None:
        super().__init__()
        for field, value, least in (("batch_size", batch_size, 1), ("val_size", val_size, 1), ("workers", workers, 0)):
            if value is not None and value < least:
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
    def measure(self, part: P) -> Statistics:
        """Mean and spread of a part in the model's numbers."""

    def setup(self, stage: str | None = None) -> None:
        """Read or draw the parts, once."""
        if self.ready:
            return
        self.train, self.val, self.test, self.reference = self.split()
        self.shape = tuple(self.reference.values.shape[1:])
        self.statistics = self.measured(self.reference)
        self.sigma_data = max(self.statistics.sigma_data, 1e-3)
        if not isinstance(self.test.values, Tensor):
            self.measured(self.test)  # a damaged file is refused before training, and not found after it
        self.ready = True

    def measured(self, part: P) -> Statistics:
        """Mean and spread of a part; computed once for each content."""
        path = self.cache and self.cache / f"statistics-{self.fingerprint(part)}.json"
        return Statistics.read(kept(path, lambda: self.measure(part)._asdict(), Statistics.read))

    def largest_distance(self, cache: Path | None = None) -> float:
        """Between two training examples in the model's numbers; computed once for each content.

        Args:
            cache: None for the folder of the data set.
        """
        folder = cache or self.cache
        path = folder and folder / f"largest_distance-{self.fingerprint(self.train)}.json"

        def compute() -> dict[str, float]:
            return {"largest_distance": self.scaling.unit * largest_distance(self.train.values)}

        return float(kept(path, compute, lambda known: float(known["largest_distance"]))["largest_distance"])

    def parts(self) -> dict[str, P]:
        """The parts by their names, which share no example."""
        return {"training": self.train, "validation": self.val, "test": self.test}

    @classmethod
    def stated(cls) -> dict[str, str]:
        """What is known of the data set before its files are read, in words."""
        return {
            "shape": cls.form,
            "range": "-1 to 1" if cls.bounded else "real numbers",
            "levels": "none" if cls.levels is None else str(cls.levels),
            "classes": cls.kinds,
            "split": cls.division,
            "licence": cls.licence,
            "files": cls.where,
        }

    def describe(self) -> str:
        """The same of this data set, which has been read, with the numbers that it has: a line for each."""
        names = f": {', '.join(self.class_names)}" if self.class_names else ""
        parts = ", ".join(f"{len(part)} {name}" for name, part in self.parts().items())
        found = {
            "shape": " x ".join(map(str, self.shape)),
            "levels": "none" if self.levels is None else str(self.levels),
            "classes": f"{self.classes or 'none'}{names}",
            "split": f"{parts}; {self.division}",
            "mean": ", ".join(f"{value:.4g}" for value in self.statistics.mean),
            "std": ", ".join(f"{value:.4g}" for value in self.statistics.std),
        }
        return "\n".join(f"{name}: {value}" for name, value in (self.stated() | found).items())

    def fingerprint(self, part: P | None = None) -> str:
        """A hash of the content of a part, the training part where none is given: what caches are named by."""
        part = self.reference if part is None else part
        content = blake2b(digest_size=12)
        content.update(repr((self.levels, part.values.shape)).encode())
        if isinstance(part.values, Tensor):
            content.update(part.values.contiguous().numpy().data)
        else:
            content.update(part.values.fingerprint().encode())
        if part.labels is not None:
            content.update(part.labels.contiguous().numpy().data)
        return content.hexdigest()

    def train_dataloader(self) -> DataLoader:
        """Batches without end, from the step that the trainer has reached: a resumed run sees what it would have.

        Raises:
            ConfigError: where the processes cannot share a batch evenly.
        """
        trainer, done = self.trainer, self.done()
        assert trainer is not None
        order = Order(len(self.train), self.batch_size, self.seed, done, trainer.global_rank, trainer.world_size)
        gather = Gather(self.train.values, self.train.labels, self.seed if self.flip else None)
        workers = workers_for(self.train.values, trainer.world_size) if self.workers is None else self.workers
        return loader(gather, workers, order)

    def done(self) -> int:
        """Global batches that have been trained on.

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
        return trainer.global_step * trainer.accumulate_grad_batches

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
        return loader(Gather(self.val.values, self.val.labels, None), 0, shares)
