"""SVHN through torchvision's own loader, in its official split."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.data.torchvision_sets import TorchvisionArrays


class SVHN(TorchvisionArrays):
    """99,289 digits of house numbers, 32x32 colour (Netzer et al., 2011), 73,257 for training and 26,032 for testing.

    The 531,131 easier ones of its part `extra` are not used, as usual in this field.
    """

    loader = "SVHN"
    class_names = tuple("0123456789")
    form = "3 x 32 x 32"
    kinds = "10: the digits"
    division = "official: 73,257 training, 26,032 test"
    licence = "for non-commercial use"
    where = "ROOT/train_32x32.mat, ROOT/test_32x32.mat (downloaded)"

    def resources(self) -> dict[str, tuple[str, str]]:
        """Address and checksum of each file, by its name."""
        return {name: (url, md5) for url, name, md5 in (self.source.split_list[part] for part in ("train", "test"))}

    def files(self) -> list[Path]:
        return [self.folder() / name for name in self.resources()]

    def sound(self, file: Path) -> bool:
        from torchvision.datasets.utils import check_integrity

        return check_integrity(file, self.resources()[file.name][1])

    def instead(self, files: list[Path]) -> str:
        sources = ", ".join(f"{file.name} (from {self.resources()[file.name][0]})" for file in files)
        return f"put {sources} into {self.folder()}"

    def fetch(self) -> None:
        for part in ("train", "test"):
            self.source(self.folder(), split=part, download=True)

    def part(self, train: bool) -> tuple[Tensor, Any]:
        loaded = self.source(self.folder(), split="train" if train else "test")
        return torch.from_numpy(loaded.data).contiguous(), loaded.labels
