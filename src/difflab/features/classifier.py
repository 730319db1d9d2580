"""Features of a small classifier trained on the data itself: for images that are nothing like photographs."""

import json
from hashlib import blake2b
from pathlib import Path

import torch
from filelock import FileLock
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from difflab.errors import ConfigError
from difflab.features.extractor import Extracted, Labelled, Pictures, in_batches
from difflab.features.weights import fingerprint
from difflab.progress import Progress

BATCH = 512


class Network(nn.Module):
    """Three convolutions and two linear layers; its features are what the last layer reads.

    Larger images are averaged down between the convolutions until at most 4x4 pixels are left.
    """

    def __init__(self, channels: int, classes: int, width: int, dimension: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.Conv2d(width, 2 * width, 3, padding=1),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            ]
        )
        self.embed = nn.Linear(2 * width * 16, dimension)
        self.decide = nn.Linear(dimension, classes)

    def features(self, pictures: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h = pictures.float() / 127.5 - 1
        for conv in self.convs:
            h = functional.relu(conv(h))
            if min(h.shape[-2:]) >= 8:
                h = functional.max_pool2d(h, 2)
        return self.embed(functional.adaptive_avg_pool2d(h, 4).flatten(1))

    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
        return self.decide(functional.relu(features))

    def forward(self, pictures: UInt8[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
        features = self.features(pictures)
        return features, self.logits(features)


class Classifier:
    """features=classifier: a network trained on the labelled training part, the same for every run on this data.

    Deterministic, and cached under the content of the training part and the settings below.

    Args:
        width: channels of the first convolution.
        dimension: number of features, at most 64.
        steps: of Adam with batches of 128 and a learning rate falling from `lr` to 0.
        lr: learning rate.

    Raises:
        ValueError: for more than 64 features.
    """

    name = "classifier"
    published = False
    cmmd = False

    def __init__(self, width: int, dimension: int, steps: int, lr: float) -> None:
        if not 1 <= dimension <= 64:
            raise ConfigError(f"features.dimension: {dimension}; allowed are 1 to 64")
        self.width, self.dimension, self.steps, self.lr = width, dimension, steps, lr
        self.device = torch.device("cpu")

    def prepare(self, train: Labelled, test: Labelled, classes: int | None, content: str, cache: Path) -> None:
        if train.labels is None or test.labels is None or classes is None:
            raise ConfigError(
                "features: classifier needs data with classes, this data has none; use metrics=none, "
                "metrics.distances=null, or a folder with one subfolder for each class"
            )
        with torch.random.fork_rng(devices=[]):  # `load` or `fit` replaces these weights
            self.network = Network(train.pixels.shape[1], classes, self.width, self.dimension)
        settings = json.dumps([1, content, classes, self.width, self.dimension, self.steps, self.lr])
        path = cache / f"classifier-{blake2b(settings.encode(), digest_size=12).hexdigest()}.safetensors"
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not self.load(path):
                self.fit(train.pixels, train.labels)
                save_file(self.network.state_dict(), f"{path}.new")
                Path(f"{path}.new").replace(path)
        self.network.eval().requires_grad_(False)
        self.network.to(self.device)
        right = 0
        for first in range(0, len(test.labels), BATCH):  # files are decoded a batch at a time
            logits = self.extract(test.pixels[first : first + BATCH]).logits
            assert logits is not None
            right += int((logits.argmax(1) == test.labels[first : first + BATCH]).sum())
        self.accuracy = right / len(test.labels)

    def identity(self) -> str:
        return fingerprint(self.name, self.network.state_dict())

    def to(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.network.to(self.device)

    def load(self, path: Path) -> bool:
        """Whether cached weights were there and whole."""
        try:
            self.network.load_state_dict(load_file(path))
        except (FileNotFoundError, SafetensorError, RuntimeError):
            return False
        return True

    def fit(self, pixels: Pictures, labels: Tensor) -> None:
        """Train from seed 0, leaving the caller's random state as it was."""
        with torch.random.fork_rng(devices=[]), Progress("training the feature classifier", self.steps) as progress:
            torch.manual_seed(0)
            for module in self.network.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.reset_parameters()
            optimiser = torch.optim.AdamW(self.network.parameters(), self.lr)
            schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, self.steps)
            for _ in range(self.steps):
                batch = torch.randint(len(pixels), (128,))
                logits = self.network.logits(self.network.features(pixels[batch]))
                loss = functional.cross_entropy(logits, labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                progress.advance()

    @torch.inference_mode()
    def extract(self, pictures: UInt8[Tensor, "n c h w"]) -> Extracted:
        return in_batches(self.network, pictures, BATCH, self.device)

    def figures(self) -> dict[str, float]:
        return {"accuracy": self.accuracy}

    def describe(self, extracted: Extracted) -> dict[str, float]:
        """Share of images with a class of probability above 0.9; least and greatest share of a class."""
        assert extracted.logits is not None
        confidence, guess = extracted.logits.softmax(1).max(1)
        shares = guess.bincount(minlength=self.network.decide.out_features) / len(guess)
        return {
            "confident_share": float((confidence > 0.9).float().mean()),
            "class_share_min": float(shares.min()),
            "class_share_max": float(shares.max()),
        }
