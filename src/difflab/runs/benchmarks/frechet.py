"""Frechet distances: what features and their statistics cost outside the feature network, and what a distance costs."""

import time
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from difflab.data import Images
from difflab.evaluation import FeatureSpace, as_pictures
from difflab.features import Inception
from difflab.metrics import Reference, frechet_distance, moments
from difflab.runs.benchmarks.networks import random_images
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved, medians
from difflab.runs.load import option

IMAGES = 10_000
SHARE = 0.05
DIMENSION = 2048
FASTER = 5
AGREEMENT = 1e-6
ROUNDS = 3  # of the statistics of all images, at most


class Untrained(Inception):
    """The published architecture with random weights: what it costs does not depend on them."""

    def load(self) -> nn.Module:
        from difflab.features.inception_network import Network

        class Loaded(Network):
            def load_state_dict(self, *_: Any, **__: Any) -> Any:
                """Nothing: the weights stay random."""

        nothing = BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        network = Loaded(self.name, ["2048", "logits_unbiased"], nothing)
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, (2 / weight[0].numel()) ** 0.5)  # so that numbers neither vanish nor grow
        return network


class Recalled(nn.Module):
    """Instead of the network: as many features and logits as there are pictures, computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.logits = torch.randn(1024, DIMENSION), torch.randn(1024, 1008)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.features[: len(pictures)].clone(), self.logits[: len(pictures)].clone()


class Stopwatch:
    """Seconds between the beginning of a network's first layer and the end of its forward pass."""

    def __init__(self, network: nn.Module, first: str) -> None:
        self.seconds, self.begun = 0.0, 0.0
        network.get_submodule(first).register_forward_pre_hook(self.begin)
        network.register_forward_hook(self.end)

    def begin(self, *_: Any) -> None:
        self.begun = time.perf_counter()

    def end(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self.begun


def statistics(settings: dict[str, Any]) -> Row:
    """What the features and moments of samples cost beside the layers of the network, as a share of the whole."""
    repetitions, n = settings["repetitions"], min(IMAGES, settings["images"])
    config = option("features", "inception", {})
    extractor = Untrained(config["weights"], config["sha256"], config["batch"])
    data = random_images(settings["batch_size"])
    some = data.test.pixels[: min(extractor.batch, data.batch_size)]
    extractor.prepare(Images(some, None), Images(some, None), None, "", Path())
    watch = Stopwatch(extractor.network, "Conv2d_1a_3x3")
    samples = torch.rand(n, *data.shape) * 2 - 1
    space = FeatureSpace(extractor, data, Path())
    inside: list[float] = []

    def few() -> None:
        watch.seconds = 0.0
        extractor.extract(some)
        inside.append(watch.seconds)

    def all_but_the_network() -> None:
        pictures = as_pictures(samples, data)
        found = space.of(lambda where: pictures[where], n, "the samples")
        moments(found.features, force=True)

    whole = interleaved({"few": few}, repetitions, label="features")["few"]
    extractor.network = Recalled()
    rest = median(interleaved({"rest": all_but_the_network}, min(ROUNDS, repetitions), label="statistics")["rest"])
    layers = median(inside[1:]) / len(some) * n
    resize = median(a - b for a, b in zip(whole, inside[1:], strict=True)) / len(some) * n
    share = (rest + resize) / (rest + resize + layers)
    how = (
        f"share of the time outside the layers of Inception-v3: {resize:.1f} s of resizing and {rest:.1f} s of "
        f"pictures, batches, gathering and moments against {layers:.0f} s for {n:,} images; layers and resizing by "
        f"{repetitions} batches of {len(some)} (random weights), the rest of all images with features recalled, medians"
    )
    return Row("frechet, statistics", share, None, None, "0", f"at most {SHARE}", share <= SHARE, how)


def gaussian(seed: int, d: int) -> tuple[Tensor, Tensor]:
    """Moments of features whose variances fall over four orders of magnitude, after a mixing and a rectification."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=draw) * torch.logspace(0, -2, d)[:, None] / d**0.5
    features = torch.randn(2 * d + 2, d, generator=draw) @ mix + 0.05 * torch.randn(2 * d + 2, d, generator=draw)
    return moments((features + 0.1 * seed).relu())


def distance(settings: dict[str, Any], d: int = DIMENSION) -> Row:
    """Our distance against that of torchmetrics, of the same means and covariances."""
    from torchmetrics.image.fid import _compute_fid  # what its FrechetInceptionDistance calls

    small, (a, b) = (gaussian(0, min(d, 128)), gaussian(1, min(d, 128))), (gaussian(0, d), gaussian(1, d))
    frechet_distance(*small[0], *small[1])  # the warm-up
    _compute_fid(*small[0], *small[1])
    reference, found = Reference(*b), {}

    def ours() -> None:
        found["ours"] = frechet_distance(*a, *b)

    def kept() -> None:
        found["kept"] = reference.distance(*a)

    def peer() -> None:
        found["peer"] = float(_compute_fid(*a, *b))

    rounds = settings["repetitions"]
    seconds = medians(interleaved({"ours": ours, "kept": kept, "peer": peer}, rounds, 0, "distances"))
    mine, theirs = seconds["ours"], seconds["peer"]
    apart = abs(found["ours"] / found["peer"] - 1)
    how = (
        f"seconds of a distance of two Gaussians of {d:,} dimensions against torchmetrics on the same moments, "
        f"float64, in turn, medians of {rounds} after a warm-up of fewer dimensions; {found['ours']:.6f}, "
        f"{apart:.0e} apart; {seconds['kept']:.2f} s where the reference is kept"
    )
    met = mine * FASTER <= theirs and apart <= AGREEMENT
    target = f"at most {1 / FASTER}, equal to {AGREEMENT:.0e}"
    return Row("frechet, distance", mine, theirs, mine / theirs, "", target, met, how)


def frechet(settings: dict[str, Any]) -> list[Row]:
    """Rows of features and their statistics, and of the distance."""
    return [statistics(settings), distance(settings)]
