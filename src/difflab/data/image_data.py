"""What a data set is to the rest of the code: images in memory, fixed splits, and batches that depend on nothing."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from math import ceil
from typing import NamedTuple

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from difflab.data.scaling import Scaling
from difflab.errors import ConfigError
from difflab.randomness import stream


class Images(NamedTuple):
    """Levels, uint8 [N, C, H, W], and class numbers, int64 [N], or None for data without classes."""

    pixels: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, where: slice) -> "Images":
        return Images(self.pixels[where], None if self.labels is None else self.labels[where])


class Batch(NamedTuple):
    """A rank's share of one global batch: images (uint8 levels) and where they stand, for the random streams.

    Attributes:
        pixels: [n, C, H, W], uint8.
        step: number of the global batch since the start of training.
        first: index of this share's first image in the global batch.
        total: images in the global batch.
    """

    pixels: Tensor
    step: int
    first: int
    total: int


class Share(NamedTuple):
    """What a sampler asks of `Gather`: these images, as the share of a batch that begins at `first` of `total`."""

    step: int
    indices: list[int]
    first: int
    total: int


class ImageData(LightningDataModule, ABC):
    """A data set of images held in memory as uint8.

    A subclass reads its files in `read`; this class splits, batches and describes. The last `val_size` images of
    the training part are held out for choices (never trained on, never reported); the test part is only reported on.

    Attributes:
        shape: (channels, height, width), set by `setup`.
        classes: number of classes, or None.
        class_names: what the classes are called, in the order of their numbers, or None.
        levels: how many values a pixel can take.
        scaling: between levels and the numbers of the model.
        sigma_data: standard deviation of the training part in the model's numbers, over all pixels.

    Args:
        root: folder of the files.
        batch_size: images in the global batch, over all processes and one step of accumulation.
        val_size: images held out of the training part.
        workers: processes that assemble batches; 0 is fastest for images in memory.
        flip: whether training images are mirrored at random.
        seed: of the order of the images and of the flips.

    Raises:
        ConfigError: for a size that is not positive.
    """

    levels: int = 256
    classes: int | None = None
    class_names: Sequence[str] | None = None
    licence: str

    def __init__(self, root: str, batch_size: int, val_size: int, workers: int, flip: bool, seed: int) -> None:
        super().__init__()
        for field, value, least in (("batch_size", batch_size, 1), ("val_size", val_size, 1), ("workers", workers, 0)):
            if value < least:
                raise ConfigError(f"data.{field}: {value}; allowed are whole numbers from {least} on")
        self.root, self.batch_size, self.val_size, self.workers = root, batch_size, val_size, workers
        self.flip, self.seed = flip, seed
        self.scaling = Scaling(self.levels)
        self.ready = False

    @abstractmethod
    def read(self) -> tuple[Images, Images]:
        """The training part (validation included) and the test part.

        Raises:
            ConfigError: where files are missing or broken: which, and what to put where.
        """

    def setup(self, stage: str | None = None) -> None:
        """Read the files, once; refuse what cannot be trained on."""
        if self.ready:
            return
        whole, self.test = self.read()
        if self.batch_size + self.val_size > len(whole):
            raise ConfigError(
                f"data.batch_size, data.val_size: {self.batch_size} and {self.val_size}; "
                f"allowed are sizes that add up to at most {len(whole)}, the images of the training part"
            )
        self.reference = whole
        self.train, self.val = whole.part(slice(-self.val_size)), whole.part(slice(-self.val_size, None))
        self.shape = tuple(whole.pixels.shape[1:])
        counts = torch.bincount(whole.pixels.flatten(), minlength=256).double()
        value = self.scaling.encode(torch.arange(len(counts))).double()
        mean = (counts * value).sum() / counts.sum()
        self.sigma_data = max(float(((counts * (value - mean) ** 2).sum() / counts.sum()).sqrt()), 1e-3)
        self.ready = True

    def fingerprint(self, part: Images | None = None) -> str:
        """A hash of the content of a part, the training part where none is given: what caches are named by."""
        part = self.reference if part is None else part
        content = blake2b(digest_size=12)
        content.update(repr((self.levels, part.pixels.shape)).encode())
        content.update(part.pixels.contiguous().numpy().data)
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
                f"data.batch_size: {self.batch_size} images cannot be shared by {trainer.world_size} processes; "
                f"allowed are multiples of {trainer.world_size}"
            )
        done = trainer.global_step * trainer.accumulate_grad_batches
        order = Order(len(self.train), self.batch_size, self.seed, done, trainer.global_rank, trainer.world_size)
        gather = Gather(self.train.pixels, self.seed if self.flip else None)
        return DataLoader(gather, sampler=order, batch_size=None, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader:
        """The held-out images in order, none of them twice, in batches that every rank has a share of.

        Every rank sees the same number of batches and none is empty, so that no rank waits for another for ever.

        Raises:
            ConfigError: for fewer images than processes.
        """
        trainer, images = self.trainer, len(self.val)
        assert trainer is not None
        rank, ranks = trainer.global_rank, trainer.world_size
        if images < ranks:
            raise ConfigError(f"data.val_size: {images} for {ranks} processes; allowed are numbers from {ranks} on")
        batches = min(ceil(images / self.batch_size), images // ranks)
        shares = []
        for b in range(batches):
            start, stop = images * b // batches, images * (b + 1) // batches
            first, last = (stop - start) * rank // ranks, (stop - start) * (rank + 1) // ranks
            shares.append(Share(b, list(range(start + first, start + last)), first, stop - start))
        return DataLoader(Gather(self.val.pixels, None), sampler=shares, batch_size=None)


class Order(Sampler[Share]):
    """One rank's shares: epoch after epoch of permutations, each a function of (seed, epoch).

    The images left over at the end of an epoch that do not fill a batch wait for another permutation.
    """

    def __init__(self, images: int, batch_size: int, seed: int, start: int, rank: int, ranks: int) -> None:
        self.images, self.batch_size, self.seed, self.start = images, batch_size, seed, start
        share = batch_size // ranks
        self.first, self.stop = rank * share, (rank + 1) * share

    def __iter__(self) -> Iterator[Share]:
        a_epoch = self.images // self.batch_size
        step = self.start
        while True:
            epoch, batch = divmod(step, a_epoch)
            order = stream(self.seed, "order", epoch).permutation(self.images)
            for b in range(batch, a_epoch):
                whole = order[b * self.batch_size : (b + 1) * self.batch_size]
                yield Share(step, whole[self.first : self.stop].tolist(), self.first, self.batch_size)
                step += 1


class Gather(Dataset[Batch]):
    """Whole batches from a tensor in memory, mirrored by coins that are a function of (seed, step, index)."""

    def __init__(self, pixels: Tensor, flip_seed: int | None) -> None:
        self.pixels, self.flip_seed = pixels, flip_seed

    def __getitem__(self, share: Share) -> Batch:
        pixels = self.pixels[share.indices]
        if self.flip_seed is not None:
            coins = stream(self.flip_seed, "flip", share.step).random(share.total)[share.first :][: len(pixels)]
            mirrored = torch.from_numpy(coins < 0.5)
            pixels[mirrored] = pixels[mirrored].flip(-1)
        return Batch(pixels, share.step, share.first, share.total)
