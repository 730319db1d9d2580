"""How the time of sampling, scoring, training and averaging grows with what is asked for."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from difflab.evaluation import Likelihood, generate
from difflab.evaluation.examples import Examples
from difflab.prediction import Denoiser
from difflab.runs.assemble import denoiser_of
from difflab.runs.benchmarks.growth import growth
from difflab.runs.benchmarks.networks import SHAPE, choices, random_images
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.sampling import sampler_of
from difflab.runs.build import build
from difflab.runs.load import option
from difflab.training import EMA, label
from difflab.training.averages import Power, Rule

STEPS = (50, 100, 200)
SIDES = (16, 32, 64)
BATCHES = (8, 16, 32)
LENGTHS = (0.05, 0.10, 0.15, 0.20)
IMAGES = 4  # at a time, where something else grows
DEEP: dict[str, Any] = {"multipliers": [1, 2, 2, 2]}  # attention, which is quadratic, sees 64 pixels at most


def small(T: int) -> Denoiser:
    """model=unet for 32x32 RGB on a chain of T steps."""
    config = choices(model="unet") | {"schedule": option("schedule", "linear", {}, T=T)}
    return denoiser_of(config, random_images(IMAGES)).eval()


def sampling(repetitions: int) -> Row:
    """All T steps of the ancestral sampler."""

    def side(T: int) -> Callable[[], Any]:
        denoise, chosen = small(T), sampler_of("ancestral", T)
        return lambda: generate(denoise, chosen, SHAPE, IMAGES, 0, IMAGES)

    what = f"sampling {IMAGES} images of 32x32 RGB with model=unet by all T steps"
    return growth("sampling by T", {T: side(T) for T in STEPS}, repetitions, what)


def bound(repetitions: int) -> Row:
    """All T terms of the bound."""
    data = random_images(IMAGES)
    parts = {"variance": option("variance", "posterior", {}), "decoder": option("decoder", "discretised", {})}
    likelihood = build(option("likelihood", "exact", parts, batch=min(STEPS)), "likelihood")
    assert isinstance(likelihood, Likelihood)
    images = Examples(data.scaling.encode(data.test.values[:IMAGES]))

    def side(T: int) -> Callable[[], Any]:
        scorer = likelihood.scorer(small(T), data.levels, 0)
        return lambda: scorer.score(images, "test", scorer.plan(images))

    what = f"bits/dim of {IMAGES} images of 32x32 RGB with model=unet by all T terms, {min(STEPS)} at once"
    return growth("exact bound by T", {T: side(T) for T in STEPS}, repetitions, what)


def training(side: int, batch_size: int) -> Callable[[], None]:
    """A step of training of a small network on random images of that side."""
    node = choices(model="unet")["model"] | DEEP
    network = build(node, "model", shape=(SHAPE[0], side, side))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    x, c_noise = torch.randn(batch_size, SHAPE[0], side, side), torch.arange(batch_size).float()

    def step() -> None:
        (network(x, c_noise) - x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def resolution(repetitions: int) -> Row:
    """Pixels of an image."""
    sides = {side * side: training(side, IMAGES) for side in SIDES}
    what = f"a training step of {IMAGES} images by pixels, 4 levels, attention on 64 pixels at most: it is quadratic"
    return growth("training by pixels", sides, repetitions, what)


def batch(repetitions: int) -> Row:
    """Images of a batch."""
    sides = {size: training(SHAPE[-1], size) for size in BATCHES}
    return growth("training by batch", sides, repetitions, "a training step of images of 32x32 RGB, 4 levels")


class Weights(nn.Module):
    """As many weights as the published CIFAR-10 network has, about."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ParameterList(torch.zeros(600_000) for _ in range(60))


def averages(repetitions: int) -> Row:
    """Lengths that are averaged at once."""
    module: Any = Weights()
    trainer: Any = SimpleNamespace(global_step=0, is_global_zero=True)

    def side(count: int) -> Callable[[], None]:
        rules: dict[str, Rule] = {label(length): Power(length) for length in LENGTHS[:count]}
        ema = EMA(rules)
        ema.on_fit_start(trainer, module)
        ema.on_train_start(trainer, module)

        def update() -> None:
            for _ in range(3):
                trainer.global_step += 1
                ema.on_train_batch_end(trainer, module)

        return update

    counts = (1, 2, len(LENGTHS))
    what = "3 updates of averages of 36 million weights by lengths"
    return growth("EMA by lengths", {count: side(count) for count in counts}, repetitions, what)


def of_networks(repetitions: int) -> list[Row]:
    """All of these."""
    return [one(repetitions) for one in (sampling, bound, resolution, batch, averages)]
