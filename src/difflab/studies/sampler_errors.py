"""scripts/sampler_errors.py: how far each sampler is from exact, by network calls, where the denoiser is exact."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from difflab.errors import ConfigError
from difflab.models import Mixture, Oracle
from difflab.plots import Line, sampler_errors
from difflab.prediction import X0, Denoiser
from difflab.progress import Progress
from difflab.randomness import stream
from difflab.runs.build import build
from difflab.runs.folder import RunFolder
from difflab.runs.load import option
from difflab.samplers import ODE, Sampler
from difflab.schedules import Schedule

MIXTURE = Mixture([0.3, 0.7], [[-0.5], [0.4]], [0.15**2, 0.25**2])
SCHEDULES: dict[str, dict[str, Any]] = {"vp": {}, "geometric": {"sigma_max": 5.0}}
FINEST = 1e-11  # tolerance of the reference
BESIDE = ("ddim eta 0",)  # deterministic ones whose samples are shown with those of the stochastic
SETS = 100  # of exact samples, for how far they are from their law


class Curve(NamedTuple):
    """A sampler option with the settings at which it is shown.

    Attributes:
        option: its name in configs/sampler.
        label: what sets it apart from other curves of the option.
        values: what differs from the YAML.
        grid, variance, schedule: names of options.
        cost: network calls for a step.
    """

    option: str
    label: str
    values: dict[str, Any]
    grid: str = "log_snr"
    variance: str = "posterior"
    schedule: str = "vp"
    cost: int = 1

    @property
    def name(self) -> str:
        """Option and label."""
        return f"{self.option} {self.label}".strip()


FREE = {"clip": False}  # the mixture is wider than [-1, 1]
CURVES = (
    Curve("ddim", "eta 0", FREE),
    Curve("heun", "", FREE, cost=2),
    Curve("dpm_solver", "2M", {"order": 2}),
    Curve("dpm_solver", "3M published", {"order": 3, "variant": "published"}),
    Curve("dpm_solver", "3M corrected", {"order": 3}),
    Curve("unipc", "2", {"order": 2}),
    Curve("unipc", "3", {"order": 3}),
    Curve("ode", "", {}),
    Curve("ancestral", "posterior", FREE),
    Curve("ancestral", "forward", FREE, variance="forward"),
    Curve("ancestral", "analytic", FREE, variance="analytic"),
    Curve("ddim", "eta 1", FREE | {"eta": 1.0}),
    Curve("dpm_solver", "SDE 2M", {"order": 2, "stochastic": True}),
    Curve("dpm_solver", "SDE 3M", {"order": 3, "stochastic": True}),
    Curve("predictor_corrector", "", FREE, cost=2),
    Curve("heun", "churn 10", FREE | {"churn": 10.0}, cost=2),
    Curve("langevin", "", FREE | {"inner": 5, "step_size": 0.3}, schedule="geometric", cost=5),
)


class Figure(NamedTuple):
    """One sampler at one setting: a row of the CSV.

    Attributes:
        setting: its number of steps, or tolerance.
        calls: network calls that were made.
        rms: of the distance to the exact solution of the probability-flow ODE from the same starts; None for a
            stochastic sampler.
        w1: Wasserstein distance of its samples to the mixture.
    """

    sampler: str
    curve: str
    setting: float
    calls: int
    rms: float | None
    w1: float


def draws(*path: str | int) -> torch.Generator:
    """The generator of one purpose."""
    return torch.Generator().manual_seed(int(stream(0, "sampler_errors", *path).integers(2**63 - 1)))


def made(curve: Curve, setting: float, denoise: Denoiser) -> Sampler:
    """The sampler of a curve with so many network calls, or this tolerance."""
    base = {group: option(group, getattr(curve, group), {}) for group in ("grid", "variance")}
    if curve.option == "ode":
        own = {"rtol": setting, "atol": setting}
    else:
        own = {"steps": max(1, round(setting / curve.cost))}
    sampler = build(option("sampler", curve.option, base, **curve.values, **own), "sampler")
    if hasattr(sampler, "variance"):
        noise = draws("variance")
        x0 = MIXTURE.sample(10000, noise)
        normal = lambda: torch.randn(x0.shape, dtype=torch.float64, generator=noise)  # noqa: E731
        sampler.variance.measure(denoise, denoise.schedule, x0, normal)
    return sampler


def quantiles(n: int) -> Tensor:
    """Those of the mixture at (k - 1/2)/n, k = 1..n, by bisection."""
    low, high = torch.full((2, n), 3.0, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    share = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for _ in range(50):
        middle = (low + high) / 2
        each = torch.special.ndtr((middle[:, None] - MIXTURE.means[:, 0]) / MIXTURE.variances[:, 0].sqrt())
        below = each @ MIXTURE.weights < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high


class Study:
    """The denoisers, the starts, and what the exact answers are.

    Args:
        points: samples of each sampler.
    """

    def __init__(self, points: int) -> None:
        self.points = points
        base = {"variance": option("variance", "posterior", {})}
        self.schedules: dict[str, Schedule] = {
            name: build(option("schedule", name, base, **values), "schedule") for name, values in SCHEDULES.items()
        }
        self.denoisers = {
            name: Denoiser(Oracle(MIXTURE, X0()), schedule, X0()) for name, schedule in self.schedules.items()
        }
        self.start = torch.randn(points, 1, dtype=torch.float64, generator=draws("start"))
        self.law = quantiles(points)
        reference = ODE(False, FINEST, FINEST)
        self.exact = reference.sample(self.denoisers["vp"], self.schedules["vp"], lambda: self.start)

    def distance(self, x: Tensor) -> float:
        """W_1 to the mixture: the mean distance of the k-th smallest to the k-th quantile."""
        return float((x.flatten().sort().values - self.law).abs().mean())

    def floor(self) -> list[float]:
        """The same of sets of exact samples."""
        return [self.distance(MIXTURE.sample(self.points, draws("floor", i))) for i in range(SETS)]

    def figure(self, curve: Curve, setting: float) -> Figure:
        """One sampler, once."""
        denoise, schedule = self.denoisers[curve.schedule], self.schedules[curve.schedule]
        sampler, noise, calls = made(curve, setting, denoise), draws("noise"), []

        def normal() -> Tensor:
            return torch.randn(self.points, 1, dtype=torch.float64, generator=noise)

        start = schedule.prior_std * self.start
        x = sampler.sample(denoise, schedule, normal, lambda state: calls.append(state.calls), start)
        rms = float((x - self.exact).square().mean().sqrt()) if sampler.deterministic else None
        used = setting if curve.option == "ode" else float(sampler.steps or 0)
        return Figure(curve.option, curve.name, used, calls[-1], rms, self.distance(x))


@torch.inference_mode()
def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Measure, write the CSV, draw.

    Raises:
        ConfigError: for samplers that are not here, and numbers that cannot be.
    """
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    known = list(dict.fromkeys(curve.option for curve in CURVES))
    for name in settings["samplers"]:
        if name not in known:
            raise ConfigError(f"samplers: {name}; allowed are {', '.join(known)}")
    for field, least in (("steps", 2), ("points", 2)):
        for number in settings[field] if isinstance(settings[field], list) else [settings[field]]:
            if number < least:
                raise ConfigError(f"{field}: {number}; allowed are whole numbers from {least}")
    for number in settings["tolerances"]:
        if not FINEST < number < 1:
            raise ConfigError(f"tolerances: {number}; allowed are numbers between {FINEST:g} and 1")
    study = Study(settings["points"])
    jobs = [
        (curve, setting)
        for curve in CURVES
        if curve.option in settings["samplers"]
        for setting in settings["tolerances" if curve.option == "ode" else "steps"]
    ]
    figures = []
    with Progress("sampling", len(jobs)) as progress:
        for curve, setting in jobs:
            figures.append(study.figure(curve, setting))
            progress.advance(note=curve.name)
    figures = list(dict.fromkeys(figures))
    floor = study.floor()
    picture = Path(settings["out"])
    picture.parent.mkdir(parents=True, exist_ok=True)
    with picture.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Figure._fields)
        table.writerows([f if not isinstance(f, float) else f"{f:.6g}" for f in figure] for figure in figures)
        table.writerows(["exact", "exact samples", "", 0, "", f"{w1:.6g}"] for w1 in floor)
    sampler_errors(*lines(figures), floor, study.points, picture)
    print(picture)


def lines(figures: Sequence[Figure]) -> tuple[list[Line], list[Line]]:
    """RMS errors of the deterministic samplers, and distances of the others with those of two solvers beside them."""
    solvers, distances = [], []
    for name in dict.fromkeys(figure.curve for figure in figures):
        own = sorted((f for f in figures if f.curve == name), key=lambda f: f.calls)
        calls, errors = [f.calls for f in own], [f.rms for f in own if f.rms is not None]
        if errors:
            solvers.append(Line(name, calls, errors))
        if not errors or name in BESIDE:
            distances.append(Line(name, calls, [f.w1 for f in own], reference=bool(errors)))
    return solvers, distances
