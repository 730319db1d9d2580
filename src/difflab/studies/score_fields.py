"""Where a learned score is right: near the data, and with one noise level only there (Song & Ermon, 2019, Figure 2)."""

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, inf
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.plots.points import Window
from difflab.plots.score_field import Errors, Field, score_fields
from difflab.prediction import Denoiser
from difflab.randomness import torch_seed
from difflab.runs.allowed import allowed
from difflab.runs.assemble import Parts
from difflab.runs.load import Run
from difflab.schedules import Marginal
from difflab.studies.plane import mixture, plane
from difflab.times import OneLevel

PLACES = 141  # along a side of the picture
EXACT = 100_000  # points that say which density holds a share of the mass
TITLES = {"one": "learned with one noise level", "many": "learned with many"}
Region = Bool[Tensor, " n"]


class Level:
    """The law of data with noise of one level, and what networks take its score for.

    Args:
        law: of the data.
        sigma: of the noise, in units of the data.
    """

    def __init__(self, law: Mixture, sigma: float) -> None:
        self.law, self.sigma = law, sigma

    def at(self, y: Float[Tensor, "n 2"]) -> Marginal:
        """y = x_0 + sigma eps."""
        one = torch.ones(len(y), dtype=torch.float64)
        return Marginal(one, self.sigma * one, -2 * (self.sigma * one).log())

    def density(self, y: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """Its logarithm, in nats."""
        return self.law.log_density(y, self.at(y))

    def true(self, y: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """The score."""
        return self.law.score(y.double(), self.at(y))

    def time(self, denoise: Denoiser) -> Float[Tensor, " 1"]:
        """When a schedule has this noise.

        Raises:
            ConfigError: where it never does.
        """
        t = denoise.schedule.time(torch.tensor([self.sigma], dtype=torch.float64).log() * -2)
        found = float((-denoise.schedule.marginal(t).log_snr / 2).exp())
        if abs(found - self.sigma) > 1e-3 * self.sigma:
            raise ConfigError(f"study.sigma: {self.sigma}; the nearest that this schedule has is {found:g}")
        return t

    def learned(self, run: Run, y: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """The score of a network: x_t = alpha y, and the score in y is alpha times that in x_t."""
        denoise = run.parts.denoiser
        t = self.time(denoise).expand(len(y))
        alpha = denoise.schedule.marginal(t).alpha[:, None].to(denoise.device)
        said = denoise((alpha * y.to(denoise.device)).float(), t)
        return (alpha * said.score.double()).cpu()

    def error(self, run: Run, y: Float[Tensor, "n 2"]) -> tuple[float, float]:
        """The relative error at these places, with its standard error as that of a ratio of means."""
        true = self.true(y)
        wrong, length = (self.learned(run, y) - true).norm(dim=1), true.norm(dim=1)
        ratio = float(wrong.mean() / length.mean())
        return ratio, float((wrong - ratio * length).std() / len(y) ** 0.5 / length.mean())


class ScoreFields:
    """The true score of a noised mixture beside learned ones, and their errors in and out of its high-density region.

    Relative errors: the mean length of the error over the mean length of the true score, at places that are uniform
    in the square of the picture. Networks that know many levels are asked at their coarsest as well, where the noise
    has been everywhere: it is the score that annealing begins with.

    Args:
        sigma: the noise level, in units of the data, at which all networks are asked.
        share: of the mass, in the smallest region that counts as inside.
        points: places.
        edges: of the classes of distance from the nearest training point, rising from 0.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = True

    def __init__(self, sigma: float, share: float, points: int, edges: Sequence[float]) -> None:
        if not sigma > 0:
            raise ConfigError(f"study.sigma: {sigma}; allowed are positive numbers")
        if not 0 < share < 1:
            raise ConfigError(f"study.share: {share}; allowed are numbers between 0 and 1")
        if points < 2:
            raise ConfigError(f"study.points: {points}; allowed are whole numbers from 2")
        if len(edges) < 2 or edges[0] != 0 or list(edges) != sorted(set(edges)):
            raise ConfigError(f"study.edges: {list(edges)}; allowed are two or more rising numbers from 0")
        self.sigma, self.share, self.points, self.edges = sigma, share, points, list(edges)

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        Level(mixture(parts, "score_fields"), self.sigma).time(parts.denoiser)

    @torch.inference_mode()
    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        parts = runs[0].parts
        law, train = mixture(parts, "score_fields").cpu(), plane(parts, "score_fields").train.points
        fine, groups = Level(law, self.sigma), grouped(runs)
        draws = torch.Generator().manual_seed(torch_seed(0, "score_fields"))
        exact = law.sample(EXACT, draws).float()
        window = Window.around(exact)
        x = torch.tensor([window.x, window.y]) + window.half * (torch.rand(self.points, 2, generator=draws) * 2 - 1)
        edge = float(fine.density(exact).quantile(1 - self.share))
        inside = fine.density(x) >= edge
        classes = self.classes(torch.cat([torch.cdist(part, train).amin(1) for part in x.split(256)]))

        figures: dict[str, float] = {}
        table: list[tuple[str, str, float, float]] = []
        curves = []
        for name, title, level, own in asked(groups, fine):
            for region, where in {"inside": inside, "outside": ~inside}.items():
                value, stderr = together([level.error(run, x[where]) for run in own])
                key = f"score_fields/{name}_error_{region}"
                figures |= {key: value, f"{key}_stderr": stderr}
                table.append((name, region, value, stderr))
            each = {middle: together([level.error(run, x[where]) for run in own]) for middle, where in classes}
            table += [(name, f"distance {middle:g}", *pair) for middle, pair in each.items()]
            values, errors = zip(*each.values(), strict=True)
            curves.append(Errors(title, list(each), values, errors))
        write(table, folder / "score_fields.csv")
        places = torch.from_numpy(window.lattice(PLACES)).reshape(-1, 2)
        learned = [Field(TITLES[name], grid(fine.learned(own[0], places))) for name, own in groups.items()]
        true = Field(f"true score, σ = {self.sigma:g}", grid(fine.true(places)))
        density = fine.density(places).reshape(PLACES, PLACES).numpy()
        score_fields(true, learned, density, curves, window, edge, folder / "score_fields.png")
        return figures

    def classes(self, distance: Float[Tensor, " n"]) -> list[tuple[float, Region]]:
        """The middle of each class of distance that holds places, and which ones."""
        found = []
        for low, high in pairwise(self.edges):
            where = (distance >= low) & (distance < high)
            if where.sum() > 1:
                found.append((float(distance[where].mean()), where))
        return found


def grid(vectors: Float[Tensor, "n 2"]) -> Float[np.ndarray, "side side 2"]:
    """Row by row, as a picture wants them."""
    return vectors.reshape(PLACES, PLACES, 2).double().numpy()


def asked(groups: dict[str, list[Run]], fine: Level) -> list[tuple[str, str, Level, list[Run]]]:
    """Name, title, level and runs of each curve."""
    found = [(name, TITLES[name], fine, own) for name, own in groups.items()]
    if "many" in groups:
        schedule = groups["many"][0].parts.denoiser.schedule
        log_snr = float(schedule.marginal(torch.tensor(1.0, dtype=torch.float64)).log_snr)
        if log_snr > -inf:
            coarsest = Level(fine.law, exp(-log_snr / 2))
            found.append(
                ("many_coarsest", f"{TITLES['many']}, asked at σ = {coarsest.sigma:g}", coarsest, groups["many"])
            )
    return found


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs that were trained at one noise level and at many; only the groups that there are.

    Runs that differ in their seed alone are means and spreads of one group.
    """
    found: dict[str, list[Run]] = {}
    for run in runs:
        kind = allowed(run.config["times"]["_target_"], "times", tuple(run.config["targets"]))
        one = kind is OneLevel
        found.setdefault("one" if one else "many", []).append(run)
    return {name: found[name] for name in TITLES if name in found}


def together(errors: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean over runs with its standard error: between runs where there are several, else that of the only one."""
    if len(errors) == 1:
        return errors[0]
    values = [value for value, _ in errors]
    return fmean(values), stdev(values) / len(values) ** 0.5


def write(table: Sequence[tuple[str, str, float, float]], path: Path) -> None:
    """The relative errors as CSV."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["trained with levels", "where", "relative_error", "stderr"])
        rows.writerows([name, where, f"{value:.6g}", f"{error:.3g}"] for name, where, value, error in table)
