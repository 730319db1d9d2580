"""The published recipes: their numbers against those of the papers, their networks counted, two steps of each."""

import csv
import sys
from collections.abc import Iterator
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional

from difflab.errors import ConfigError
from difflab.runs.cost import Cost, cost_of, shape_of, table
from difflab.runs.flops import count
from tests.conftest import composed, option, options

sys.path.insert(0, str(Path(__file__).parent))
from children import any_checksum, script
from tiny_data import celeba, cifar10, mnist, pictures

DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"
ADAM = {"optim.betas": [0.9, 0.999], "optim.eps": 1e-8, "optim.weight_decay": 0.0, "optim.final_share": 1.0}

# Written down from the papers and the published code, not from the YAMLs.
DDPM = ADAM | {
    **{"data.batch_size": 128, "data.flip": True, "trainer.max_steps": 800_000, "trainer.gradient_clip_val": 1.0},
    **{"optim.lr": 2e-4, "optim.warmup_steps": 5000, "ema.decay": 0.9999, "ema.warmup": False},
    **{"model.channels": 128, "model.multipliers": [1, 2, 2, 2], "model.blocks": 2, "model.attention": [16]},
    **{"model.heads": 1, "model.dropout": 0.1, "model.groups": 32, "model.scale_shift": False},
    **{"schedule._target_": "Linear", "schedule.T": 1000, "schedule.beta_first": 1e-4, "schedule.beta_last": 0.02},
    **{"prediction._target_": "Eps", "loss._target_": "Simple", "times._target_": "Uniform"},
    **{"c_noise._target_": "StepIndex", "variance._target_": "Forward"},
    **{"sampler._target_": "Ancestral", "sampler.steps": None, "sampler.clip": True, "augmentation._target_": None},
}
HYBRID = ADAM | {
    **{"data.batch_size": 128, "data.flip": False, "trainer.max_steps": 500_000, "trainer.gradient_clip_val": None},
    **{"optim.lr": 1e-4, "optim.warmup_steps": 0, "ema.decay": 0.9999, "ema.warmup": False},
    **{"model.channels": 128, "model.multipliers": [1, 2, 2, 2], "model.blocks": 3, "model.attention": [16, 8]},
    **{"model.heads": 4, "model.dropout": 0.3, "model.scale_shift": True},
    **{"schedule._target_": "Cosine", "schedule.T": 4000, "schedule.offset": 0.008, "schedule.beta_max": 0.999},
    **{"prediction._target_": "Eps", "loss._target_": "Hybrid", "loss.scale": 1e-3, "times._target_": "Uniform"},
    **{"c_noise._target_": "ScaledIndex", "variance._target_": "Learned"},
    **{"sampler._target_": "Ancestral", "sampler.steps": None, "sampler.clip": True},
}
VLB = {key: value for key, value in HYBRID.items() if key != "loss.scale"} | {
    **{"loss._target_": "Vlb", "times._target_": "Importance", "times.history": 10, "times.uniform_share": 0.001},
}
EDM = ADAM | {
    **{"data.batch_size": 512, "data.flip": False, "trainer.max_steps": 200_000_000 // 512},
    **{"optim.lr": 1e-3, "optim.warmup_steps": 10_000_000 // 512, "trainer.gradient_clip_val": None},
    **{"ema.halflife": 500_000, "ema.rampup": 0.05, "augmentation.probability": 0.12},
    **{"model.channels": 128, "model.multipliers": [2, 2, 2], "model.blocks": 4, "model.attention": [16]},
    **{"model.dropout": 0.13, "model.taps": [1, 1], "model.entries": False},
    **{"schedule._target_": "Karras", "schedule.sigma_min": 0.002, "schedule.sigma_max": 80.0, "schedule.rho": 7.0},
    **{"prediction._target_": "EDM", "prediction.sigma_data": 0.5, "c_noise._target_": "LogSigma"},
    **{"loss._target_": "EDM", "times._target_": "LogNormal", "times.mean": -1.2, "times.std": 1.2},
    **{"sampler._target_": "Heun", "sampler.steps": 18, "sampler.churn": 0.0, "grid._target_": "Uniform"},
}
NCSNV2 = ADAM | {
    **{"data.batch_size": 128, "data.flip": True, "trainer.max_steps": 300_000, "trainer.gradient_clip_val": None},
    **{"optim.lr": 1e-4, "optim.warmup_steps": 0, "ema.decay": 0.999, "ema.warmup": False, "model.dropout": 0.0},
    **{"schedule._target_": "Geometric", "schedule.sigma_min": 2 * 0.01, "schedule.sigma_max": 2 * 50.0},
    **{"schedule.L": 232, "schedule.auto": False, "prediction._target_": "Score", "c_noise._target_": "Nothing"},
    **{"loss._target_": "Score", "loss.power": 2.0, "times._target_": "Uniform"},
    **{"sampler._target_": "Langevin", "sampler.inner": 5, "sampler.step_size": pytest.approx(6.2e-6 / 0.01**2)},
    **{"sampler.denoise": True, "sampler.clip": False, "sampler.steps": None, "sampler.calls": None},
}
VDM = ADAM | {
    **{"data.batch_size": 128, "data.flip": False, "trainer.max_steps": 10_000_000, "trainer.gradient_clip_val": None},
    **{"optim.lr": 2e-4, "optim.betas": [0.9, 0.99], "optim.weight_decay": 0.01, "optim.warmup_steps": 100},
    **{"ema.decay": 0.9999, "ema.warmup": False},
    **{"model.channels": 128, "model.blocks": 32, "model.fourier": [6, 7], "model.dropout": 0.1},
    **{"schedule._target_": "Learned", "schedule.log_snr_max": 13.3, "schedule.log_snr_min": -5.0},
    **{"schedule.width": 0, "c_noise._target_": "LogSnr", "c_noise.highest": 13.3, "c_noise.lowest": -5.0},
    **{"prediction._target_": "Eps", "loss._target_": "Vlb", "times._target_": "Stratified"},
    **{"sampler._target_": "Ancestral", "sampler.steps": 1000, "sampler.clip": False},
}
FLOW = {key: value for key, value in DDPM.items() if not key.startswith(("schedule.", "sampler."))} | {
    **{"trainer.max_steps": 400_000, "model.heads": 4, "schedule._target_": "Flow", "prediction._target_": "Flow"},
    **{"loss._target_": "Output", "c_noise._target_": "Time", "variance._target_": "Posterior"},
    **{"sampler._target_": "ODE", "sampler.rtol": 1e-5, "sampler.atol": 1e-5, "sampler.clip": False},
}
CELEBA = {
    **{"trainer.max_steps": 500_000, "optim.warmup_steps": 0, "data.size": 64, "data.crop": 128},
    **{"model.multipliers": [1, 2, 2, 2, 4]},
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "cifar10_ddpm": DDPM,
    "cifar10_improved_hybrid": HYBRID,
    "cifar10_improved_vlb": VLB,
    "cifar10_edm": EDM,
    "cifar10_ncsnv2": NCSNV2,
    "cifar10_vdm": VDM,
    "cifar10_flow": FLOW,
    "celeba64_ddpm": DDPM | CELEBA,
    "celeba64_ddim": DDPM
    | CELEBA
    | {
        **{"sampler._target_": "DDIM", "sampler.steps": 50, "sampler.eta": 0.0, "sampler.clip": False},
        **{"grid._target_": "Leading"},
    },
    "celeba64_ncsnv2": NCSNV2
    | CELEBA
    | {
        **{"trainer.max_steps": 210_000, "data.crop": 140, "schedule.sigma_max": 2 * 90.0, "schedule.L": 500},
        **{"sampler.step_size": pytest.approx(3.3e-6 / 0.01**2)},
    },
}
OURS = ("fashion_mnist_classes", "photographs_classes")


def test_every_recipe_is_compared_with_what_was_published():
    assert {o for o in options("experiment") if o.startswith(("cifar10_", "celeba64_"))} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_hyper_parameters_are_those_that_were_published(name):
    config = composed(f"experiment={name}")
    assert config.name == name
    for field, value in PUBLISHED[name].items():
        found = OmegaConf.select(config, field)
        found = OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
        found = found.rpartition(".")[2] if field.endswith("_target_") and found else found
        assert found == value, field


class Layer(NamedTuple):
    """Parameters, and operations of one image."""

    parameters: int
    flops: int = 0


def conv(a: int, b: int, n: int, k: int = 3) -> Layer:
    """A convolution to n pixels."""
    return Layer(a * b * k * k + b, 2 * a * b * k * k * n)


def dense(a: int, b: int, n: int = 1, bias: bool = True) -> Layer:
    """A linear layer at n places."""
    return Layer(a * b + b * bias, 2 * a * b * n)


def residual(a: int, b: int, n: int, time: int, bias: bool = True) -> Iterator[Layer]:
    yield from (Layer(2 * a), conv(a, b, n), dense(time, b, bias=bias), Layer(2 * b), conv(b, b, n))
    if a != b:
        yield conv(a, b, n, k=1)


def attention(c: int, n: int) -> Iterator[Layer]:
    """One n x n matrix each of products with keys and values."""
    yield from (Layer(2 * c), dense(c, 3 * c, n), Layer(0, 4 * n * n * c), dense(c, c, n))


def ddpm(config: Any, shape: tuple[int, int, int], classes: int = 0) -> Iterator[Layer]:
    """Ho et al. (2020), appendix B, layer by layer; with a table of classes."""
    c_image, side, _ = shape
    width, time = config.channels, 4 * config.channels
    yield from (dense(width, time), dense(time, time), Layer(classes * time), conv(c_image, width, side**2))
    c, skips = width, [width]
    for level, m in enumerate(config.multipliers):
        for _ in range(config.blocks):
            yield from residual(c, m * width, side**2, time)
            c = m * width
            if side in config.attention:
                yield from attention(c, side**2)
            skips.append(c)
        if level < len(config.multipliers) - 1:
            side //= 2
            yield conv(c, c, side**2)
            skips.append(c)
    yield from (*residual(c, c, side**2, time), *attention(c, side**2), *residual(c, c, side**2, time))
    for level, m in reversed(list(enumerate(config.multipliers))):
        for _ in range(config.blocks + 1):
            yield from residual(c + skips.pop(), m * width, side**2, time)
            c = m * width
            if side in config.attention:
                yield from attention(c, side**2)
        if level:
            side *= 2
            yield conv(c, c, side**2)
    yield from (Layer(2 * c), conv(c, c_image, side**2))


def vdm(config: Any, shape: tuple[int, int, int]) -> Iterator[Layer]:
    """Kingma et al. (2021), appendix B, as published, but for one number that is always 0 beside the time embedding."""
    c_image, side, _ = shape
    c, n, time = config.channels, side**2, 4 * config.channels
    yield from (dense(c, time), dense(time, time), conv(5 * c_image, c, n))
    for _ in range(config.blocks + 2):
        yield from residual(c, c, n, time, bias=False)
    yield from attention(c, n)
    for _ in range(config.blocks + 1):
        yield from residual(2 * c, c, n, time, bias=False)
    yield from (Layer(2 * c), conv(c, c_image, n))


def total(layers: Iterator[Layer]) -> tuple[int, int]:
    parameters, flops = zip(*layers, strict=True)
    return sum(parameters), sum(flops)


@cache
def costs() -> dict[str, Cost]:
    """Of the published ones and of the one of our own whose classes need no files."""
    names = [*PUBLISHED, "fashion_mnist_classes"]
    return {name: cost_of(name, OmegaConf.to_container(composed(f"experiment={name}"), resolve=True)) for name in names}


PARAMETERS = {
    "cifar10_ddpm": 35_746_307,
    "cifar10_improved_hybrid": 52_546_438,
    "cifar10_improved_vlb": 52_546_438,
    "cifar10_edm": 55_733_891,
    "cifar10_ncsnv2": 35_746_307,
    "cifar10_vdm": 30_577_667,
    "cifar10_flow": 35_746_307,
    **dict.fromkeys(("celeba64_ddpm", "celeba64_ddim", "celeba64_ncsnv2"), 78_700_803),
}
CALLS = {
    **{"cifar10_ddpm": 1000, "cifar10_improved_hybrid": 4000, "cifar10_improved_vlb": 4000, "cifar10_edm": 35},
    **{"cifar10_ncsnv2": 232 * 5 + 1, "cifar10_vdm": 1000, "cifar10_flow": None},
    **{"celeba64_ddpm": 1000, "celeba64_ddim": 50, "celeba64_ncsnv2": 500 * 5 + 1},
}


@pytest.mark.slow
def test_networks_and_samplers_are_as_large_as_published():
    found = costs()
    assert {name: found[name].counted.parameters for name in PUBLISHED} == PARAMETERS
    assert {name: found[name].calls for name in PUBLISHED} == CALLS


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("cifar10_ddpm", (3, 32, 32), 0),
        ("cifar10_flow", (3, 32, 32), 0),
        ("celeba64_ddpm", (3, 64, 64), 0),
        ("fashion_mnist_classes", (1, 28, 28), 10),
    ],
)
def test_counted_operations_are_the_sum_over_the_layers(name, shape, classes):
    counted = costs()[name].counted
    layers = ddpm(composed(f"experiment={name}").model, shape, classes)
    assert (counted.parameters, counted.flops) == total(layers)


def test_the_deep_network_is_the_sum_of_its_layers():
    counted = costs()["cifar10_vdm"].counted
    assert (counted.parameters, counted.flops) == total(vdm(composed("model=vdm").model, (3, 32, 32)))


class TwoLayers(nn.Module):
    """c -> SiLU -> c, 1 x 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.second(functional.silu(self.first(x)))


def test_memory_is_what_the_backward_pass_needs():
    """Inputs of the two convolutions and of the SiLU, 64 pixels of 4 bytes."""
    with torch.device("meta"):
        network = TwoLayers()
    counted = count(network, (3, 8, 8))
    assert counted.kept == (3 + 4 + 4) * 64 * 4
    cost = Cost("two", counted, batch=10, images=1000, calls=7)
    assert cost.memory == 20 * 31 + 10 * counted.kept
    assert cost.training == 3 * (2 * 12 * 64 * 2) * 1000
    assert cost.sampling == (2 * 12 * 64 * 2) * 7 * 50_000


def test_the_page_has_the_table_that_the_command_prints():
    printed = table([costs()[name] for name in PUBLISHED], composed_cost().utilisation)
    assert printed in DOCS.read_text()
    assert list(composed_cost().experiments) == list(PUBLISHED)


def composed_cost() -> Any:
    """The defaults of scripts/cost.py."""
    return OmegaConf.load(Path(__file__).parents[2] / "configs" / "cost.yaml")


def test_data_whose_shape_is_in_its_files_has_no_cost():
    with pytest.raises(ConfigError, match=r"^experiments: NPZ|^experiments: "):
        shape_of(option("data", "npz"), {"size": 32})
    assert shape_of(option("data", "image_folder"), {"channels": 4, "size": [8, 16]}) == (4, 8, 16)


@pytest.mark.slow
def test_the_script_counts_and_refuses(tmp_path):
    code, text = script("cost", ["experiments=[cifar10_ddpm]", f"out={tmp_path / 'cost.json'}"], tmp_path)
    assert code == 0, text
    assert table([costs()["cifar10_ddpm"]], 0.35) in text
    assert '"parameters": 35746307' in (tmp_path / "cost.json").read_text()
    code, text = script("cost", ["experiments=[cifar10_ddpn]"], tmp_path)
    assert code == 2
    assert "experiments: cifar10_ddpn; did you mean cifar10_ddpm?" in text


TINY = ("trainer.max_steps=2", "trainer.accelerator=cpu", "data.batch_size=8", "data.val_size=8", "metrics=none")
NARROW = ("model.channels=32", "model.blocks=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "files", "more"),
    [
        pytest.param([n for n in PUBLISHED if n.startswith("cifar10")], cifar10, NARROW, id="cifar10"),
        pytest.param([n for n in PUBLISHED if n.startswith("celeba64")], celeba, NARROW, id="celeba64"),
        pytest.param(OURS[:1], lambda root: mnist(root, "FashionMNIST"), (), id="fashion_mnist"),
        pytest.param(
            OURS[1:], lambda root: pictures(root, n=80, classes=("a", "b")), ("data.val_size=8",), id="photographs"
        ),
    ],
)
def test_recipes_train_two_steps(names, files, more, tmp_path):
    """In one process, with narrow networks on a few images in the files that the real ones have."""
    root = files(tmp_path / "files")
    arguments = ["-m", f"experiment={','.join(names)}", "name=test", f"data.root={root}", *TINY, *more]
    code, text = script("train", arguments, tmp_path, prepare=any_checksum)
    assert code == 0, text
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    for job in range(len(names)):
        with (sweep / str(job) / "metrics.csv").open() as file:
            losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
        assert losses and all(map(isfinite, losses)), names[job]
