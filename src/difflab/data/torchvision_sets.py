"""Data sets through torchvision's own loaders, in their official splits; here MNIST, Fashion-MNIST and CIFAR-10."""

import socket
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from difflab.data.image_data import ImageData, Images
from difflab.errors import ConfigError

DOWNLOAD_ERRORS = (OSError, RuntimeError, HTTPException, TarError, EOFError, zlib.error)
TIMEOUT = 20.0  # seconds of silence, after which a connection is given up


class TorchvisionSet(ImageData):
    """A data set of torchvision. Files that already lie under `root` are read as they are, others are downloaded.

    Raises:
        ConfigError: for files that are damaged, or missing and not to be had: which, and what to put where.
    """

    loader: str

    @property
    def source(self) -> Any:
        """The class in torchvision.datasets, imported when it is needed."""
        from torchvision import datasets

        return getattr(datasets, self.loader)

    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the loader reads."""

    @abstractmethod
    def sound(self, file: Path) -> bool:
        """Whether a file's content can be what the loader expects."""

    @abstractmethod
    def instead(self, files: list[Path]) -> str:
        """How to provide these files by hand."""

    def folder(self) -> Path:
        return Path(self.root).expanduser()

    def obtain(self) -> None:
        """Have all files, and have them whole."""
        if self.missing():
            self.download()
        for file in self.files():
            if not self.sound(file):
                raise ConfigError(f"data.root: {file} is damaged; delete it, and {self.instead([file])}")

    def missing(self) -> list[Path]:
        return [file for file in self.files() if not file.is_file()]

    def download(self) -> None:
        """Fetch what is missing; one process does, the others of this machine wait for it."""
        try:
            self.folder().mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder() / f".{self.loader}.lock"), socket_timeout(TIMEOUT):
                self.fetch()
        except DOWNLOAD_ERRORS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise ConfigError(
                f"data.root: {self.root} lacks files of {self.loader} and the download failed ({reason}); "
                f"{self.instead(self.missing())}"
            ) from error

    @abstractmethod
    def fetch(self) -> None:
        """Have torchvision download what is missing."""


class TorchvisionArrays(TorchvisionSet):
    """One whose images torchvision holds in memory, in a training part and a test part."""

    classes: int = 10

    @abstractmethod
    def part(self, train: bool) -> tuple[Tensor, Any]:
        """Images, uint8 [N, C, H, W], and class numbers; sets `class_names`."""

    def read(self) -> tuple[Images, Images]:
        self.obtain()
        return self.checked(train=True), self.checked(train=False)

    def checked(self, train: bool) -> Images:
        pixels, numbers = self.part(train)
        labels, name = torch.as_tensor(numbers, dtype=torch.int64), "training" if train else "test"
        again = f"delete what is wrong, and {self.instead(self.files())}"
        if len(pixels) != len(labels):
            raise ConfigError(
                f"data.root: {self.root} holds {len(pixels)} images of the {name} part but {len(labels)} labels; "
                f"{again}"
            )
        wrong = ((labels < 0) | (labels >= self.classes)).nonzero()
        if len(wrong):
            i = int(wrong[0])
            raise ConfigError(
                f"data.root: {self.root} holds the label {int(labels[i])} of image {i} of the {name} part; "
                f"allowed are 0 to {self.classes - 1}; {again}"
            )
        return Images(pixels, labels)


class MNIST(TorchvisionArrays):
    """70,000 handwritten digits, 28x28 grey, 60,000 for training and 10,000 for testing (LeCun et al., 1998)."""

    loader = "MNIST"
    form = "1 x 28 x 28"
    kinds = "10: the digits"
    division = "official: 60,000 training, 10,000 test"
    licence = "CC BY-SA 3.0"
    where = "ROOT/MNIST/raw/*-ubyte (downloaded)"

    def files(self) -> list[Path]:
        raw = self.folder() / self.loader / "raw"
        return [raw / Path(archive).stem for archive, _ in self.source.resources]

    def sound(self, file: Path) -> bool:
        from torchvision.datasets.mnist import read_image_file, read_label_file

        try:
            if "images" in file.name:
                return read_image_file(str(file)).shape[1:] == (28, 28)
            labels = read_label_file(str(file))
            return len(labels) > 0 and int(labels.max()) < 10
        except Exception:  # the reader has no error of its own: a damaged header can end in any
            return False

    def instead(self, files: list[Path]) -> str:
        names = ", ".join(file.name for file in files)
        return f"put {names} (from {self.source.mirrors[0]}, unpacked) into {self.files()[0].parent}"

    def fetch(self) -> None:
        self.source(self.folder(), train=True, download=True)

    def part(self, train: bool) -> tuple[Tensor, Any]:
        loaded = self.source(self.folder(), train=train)
        self.class_names = tuple(loaded.classes)
        return loaded.data[:, None], loaded.targets


class FashionMNIST(MNIST):
    """70,000 pictures of clothes in the format and the split of MNIST (Xiao et al., 2017)."""

    loader = "FashionMNIST"
    kinds = "10: kinds of clothes"
    licence = "MIT"
    where = "ROOT/FashionMNIST/raw/*-ubyte (downloaded)"


class CIFAR10(TorchvisionArrays):
    """60,000 photographs, 32x32 colour, 50,000 for training and 10,000 for testing (Krizhevsky, 2009)."""

    loader = "CIFAR10"
    form = "3 x 32 x 32"
    kinds = "10: things and animals"
    division = "official: 50,000 training, 10,000 test"
    licence = "none stated by the authors; they ask for a citation"
    where = "ROOT/cifar-10-batches-py/ (downloaded)"

    def checksums(self) -> dict[str, str]:
        meta = self.source.meta
        return dict([*self.source.train_list, *self.source.test_list, (meta["filename"], meta["md5"])])

    def files(self) -> list[Path]:
        return [self.folder() / self.source.base_folder / name for name in self.checksums()]

    def sound(self, file: Path) -> bool:
        from torchvision.datasets.utils import check_integrity

        return check_integrity(file, self.checksums()[file.name])

    def instead(self, files: list[Path]) -> str:
        names, folder = ", ".join(file.name for file in files), self.folder() / self.source.base_folder
        return f"put {names} into {folder}, or {self.source.filename} (from {self.source.url}) into {self.folder()}"

    def fetch(self) -> None:
        self.source(self.folder(), train=True, download=True)

    def part(self, train: bool) -> tuple[Tensor, Any]:
        loaded = self.source(self.folder(), train=train)
        self.class_names = tuple(loaded.classes)
        return torch.from_numpy(loaded.data).permute(0, 3, 1, 2).contiguous(), loaded.targets


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Connections made within it fail after so much silence; left alone they would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
