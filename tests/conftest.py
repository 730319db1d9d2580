"""What all tests share: shapes checked while the mathematics runs, YAMLs as objects, networks that are formulas."""

import math
import os
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import hypothesis
import matplotlib
import pytest
import torch
from jaxtyping import install_import_hook

# Before difflab is imported for the first time. With the tower an int may stand for a float, as everywhere in Python.
CHECKED = (
    "condition",
    "guidance",
    "schedules",
    "process",
    "prediction",
    "likelihood",
    "losses",
    "times",
    "samplers",
    "models",
    "metrics",
    "features",
)
install_import_hook(
    [f"difflab.{room}" for room in CHECKED],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import DictConfig  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from difflab.prediction import X0, Denoiser  # noqa: E402
from difflab.process import expand  # noqa: E402
from difflab.runs.build import build  # noqa: E402
from difflab.runs.paths import CONFIGS  # noqa: E402
from difflab.schedules import Marginal, Schedule  # noqa: E402

torch.set_num_threads(1)
# Processes that tests start compile what they import once for all, and share one list of fonts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("MPLCONFIGDIR", matplotlib.get_cachedir())
hypothesis.settings.register_profile("difflab", deadline=None, derandomize=True)
hypothesis.settings.load_profile("difflab")


def options(group: str) -> list[str]:
    """The names of a group's YAMLs."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@cache
def composed(*overrides: str) -> DictConfig:
    """The config of `python train.py OVERRIDES`."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", list(overrides))


def option(group: str, name: str, *overrides: str, **offers: Any) -> Any:
    """The object of configs/GROUP/NAME.yaml; `offers` are what the data would supply."""
    return build(composed(f"{group}={name}", *overrides)[group], group, **offers)


def fitting(group: str, name: str, overrides: tuple[str, ...]) -> list[str]:
    """Those of the overrides whose field an option has."""
    own = composed(f"{group}={name}")[group]
    return [o for o in overrides if not o.startswith(f"{group}.") or o.split("=")[0].split(".")[1] in own]


def every(group: str, *overrides: str, **offers: Any) -> list[Any]:
    """For `parametrize`: the object of each YAML of a group, called by its name, with the overrides that fit it."""
    return [
        pytest.param(option(group, name, *fitting(group, name, overrides), **offers), id=name)
        for name in options(group)
        if "_target_" in composed(f"{group}={name}")[group] and composed(f"{group}={name}")[group]._target_ is not None
    ]


def printed(number: str) -> Any:
    """What equals this number in all of its digits."""
    return pytest.approx(float(number), rel=0, abs=0.5001 * 10.0 ** int(Decimal(number).as_tuple().exponent))


class Exploding(Schedule):
    """x_t = x_0 + sigma(t) eps, sigma from 0.01 to 50: no steps, and a prior that is not standard normal."""

    T, t_min, prior_std = None, 0.0, 50.0

    def marginal(self, t: Tensor) -> Marginal:
        log_sigma = math.log(0.01) + t.double() * math.log(5000)
        return Marginal(torch.ones_like(log_sigma), log_sigma.exp(), -2 * log_sigma)

    def time(self, log_snr: Tensor) -> Tensor:
        return (-log_snr / 2 - math.log(0.01)) / math.log(5000)


class Formula(nn.Module):
    """A network that is a formula of (x, t)."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula
        self.nothing = nn.Parameter(torch.zeros(()))  # weights tell evaluation the device

    def c_noise(self, schedule: Schedule, t: Tensor) -> Tensor:
        return t

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.formula(x, t)


def gaussian_denoiser(schedule: Schedule, mean: float, std: float) -> Denoiser:
    """E[x_0 | x_t] of data N(mean, std^2), exactly."""

    def x0_hat(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma, _ = schedule.marginal(t)
        gain = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
        return mean + expand(gain, x) * (x - expand(alpha, x) * mean)

    return Denoiser(Formula(x0_hat), schedule, X0())
