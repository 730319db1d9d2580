"""What the networks trained on photographs have in common."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.features.extractor import Extracted, Labelled, in_batches
from difflab.features.weights import fingerprint


def three_channels(pictures: UInt8[Tensor, "n c h w"], name: str) -> UInt8[Tensor, "n 3 h w"]:
    """Pictures as networks for photographs want them: grey ones are repeated.

    Raises:
        ConfigError: for neither 1 nor 3 channels.
    """
    channels = pictures.shape[1]
    if channels not in (1, 3):
        raise ConfigError(
            f"features: {name} reads pictures of 1 or 3 channels, this data has {channels}; allowed are "
            "features=classifier, features=custom, or metrics.distances=null"
        )
    return pictures.expand(-1, 3, -1, -1)


class Pretrained(ABC):
    """A network with weights from elsewhere, which maps uint8 [n, 3, h, w] to (features,) or (features, logits).

    Args:
        batch: pictures the network sees at once; another value changes features by rounding errors.
    """

    name: str
    dimension: int
    preprocessing: str
    published = False
    cmmd = False

    def __init__(self, batch: int) -> None:
        self.batch, self.device = batch, torch.device("cpu")

    @abstractmethod
    def load(self) -> nn.Module:
        """The network with its weights, on the CPU.

        Raises:
            ConfigError: where the weights are not to be had.
        """

    def prepare(self, train: Labelled, test: Labelled, classes: int | None, content: str, cache: Path) -> None:
        three_channels(train.pixels[:1], self.name)
        with torch.random.fork_rng(devices=[]):  # weights are drawn before they are replaced
            network = self.load().eval().requires_grad_(False)
        self.hash = fingerprint(f"{self.name}: {self.preprocessing}", network.state_dict())
        self.network = network.to(self.device)

    def identity(self) -> str:
        return self.hash

    def to(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.network.to(self.device)

    @torch.inference_mode()
    def extract(self, pictures: UInt8[Tensor, "n c h w"]) -> Extracted:
        return in_batches(self.network, three_channels(pictures, self.name), self.batch, self.device)

    def figures(self) -> dict[str, float]:
        return {}

    def describe(self, extracted: Extracted) -> dict[str, float]:
        return {}
