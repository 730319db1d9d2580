"""Features of the user's own making."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.features.extractor import Extracted, Labelled, in_batches
from difflab.features.weights import fingerprint

TAKEN = ("inception", "classifier", "efficientnet_lite0", "dinov2", "clip")


def label(thing: Any) -> str:
    """The full name of a function, or of an object's class."""
    if isinstance(thing, partial):
        return f"{label(thing.func)} {thing.args} {sorted(thing.keywords.items())}"
    return f"{thing.__module__}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


class Custom:
    """Any callable that maps uint8 pictures [n, c, h, w], of the data's own channels, to features [n, d].

    A network, or any object with a `state_dict`, is known by its weights; all are known by their name and by what they
    give for fixed noise, so that another code has another identity.

    Args:
        extractor: the callable. A network is put in evaluation mode.
        name: figures are called fd_NAME.
        batch: pictures it sees at once.

    Raises:
        ConfigError: for something that cannot be called, and for a name that is no name or that of other features.
    """

    published = False
    cmmd = False
    dimension = 0  # until it is measured

    def __init__(self, extractor: Any, name: str, batch: int) -> None:
        if not callable(extractor):
            raise ConfigError(
                f"features.extractor: {extractor}; allowed are a class whose objects map uint8 [n, c, h, w] to [n, d], "
                "or with features.extractor._partial_=true a function that does"
            )
        if name in TAKEN or not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise ConfigError(f"features.name: {name}; allowed are a-z, 0-9, _ and no name of other features")
        self.extractor, self.name, self.batch = extractor, name, batch
        self.device = torch.device("cpu")

    def prepare(self, train: Labelled, test: Labelled, classes: int | None, content: str, cache: Path) -> None:
        if isinstance(self.extractor, nn.Module):
            self.extractor.eval().requires_grad_(False)
        draw = torch.Generator().manual_seed(0)
        noise = torch.randint(256, (2, *train.pixels.shape[1:]), dtype=torch.uint8, generator=draw)
        features = self.extract(noise).features
        if not features.isfinite().all():
            raise ConfigError(f"features.extractor: {label(self.extractor)} gives numbers that are not finite")
        self.dimension = features.shape[1]
        state = getattr(self.extractor, "state_dict", dict)()
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        self.hash = fingerprint(label(self.extractor), tensors | {"features of noise": features})

    def identity(self) -> str:
        return self.hash

    def to(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        if isinstance(self.extractor, nn.Module):
            self.extractor.to(self.device)

    def answer(self, pictures: UInt8[Tensor, "n c h w"]) -> tuple[Float32[Tensor, "n d"]]:
        """Features, which are refused where they are none."""
        features = self.extractor(pictures)
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(pictures):
            raise ConfigError(
                f"features.extractor: {label(self.extractor)} maps {tuple(pictures.shape)} to {found}; "
                f"allowed is one row of features for each picture: ({len(pictures)}, d)"
            )
        return (features.float(),)

    @torch.inference_mode()
    def extract(self, pictures: UInt8[Tensor, "n c h w"]) -> Extracted:
        return in_batches(self.answer, pictures, self.batch, self.device)

    def figures(self) -> dict[str, float]:
        return {}

    def describe(self, extracted: Extracted) -> dict[str, float]:
        return {}
