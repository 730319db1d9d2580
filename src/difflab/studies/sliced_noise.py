"""Sliced score matching without and with a little noise on the data: note 001, Figure 4."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from difflab.errors import ConfigError
from difflab.losses import Sliced
from difflab.plots.losses import Losses, losses
from difflab.runs.allowed import allowed
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.load import Run
from difflab.schedules import Schedule
from difflab.times import OneLevel


class SlicedNoise:
    """The training losses of single batches, and whether they settle.

    Data on a manifold, such as digits whose corners are always black, has a score that is infinite across it: the
    objective has no minimum, and a network gains on it for as long as it gets steeper (Song & Ermon, 2019, section 3.1
    and Figure 1). With noise on the data it is at least -1/(2 noise^2) per dimension, since the score of the noisy data
    is a mean of -eps/noise; the loss is that times sigma(t)^power.

    Args:
        last: share of the training that figures are of.

    Raises:
        ConfigError: for a share that is not above 0 and at most 1/2.
    """

    of_sweep = True

    def __init__(self, last: float) -> None:
        if not 0 < last <= 0.5:
            raise ConfigError(f"study.last: {last}; allowed are numbers above 0 up to 0.5")
        self.last = last

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        noise_of(config)

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        curves, found = {}, {}
        for run in runs:
            noise = noise_of(run.config)
            if noise in curves:
                raise ConfigError(f"loss.noise: {noise:g} in several runs; allowed are runs that differ in it")
            scale = scale_of(run.config, run.parts.denoiser.schedule)
            curves[noise] = Losses(words(noise), *read(run.folder.table), bound_of(noise, scale))
        curves = dict(sorted(curves.items()))
        for noise, one in curves.items():
            found |= {f"sliced_noise/noise_{noise:g}_{name}": value for name, value in self.figures(one).items()}
        with (folder / "losses.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["noise", "step", "loss"])
            for noise, one in curves.items():
                table.writerows([noise, n, f"{loss:.6g}"] for n, loss in zip(one.steps, one.values, strict=True))
        losses(list(curves.values()), folder / "losses.png")
        return found

    def figures(self, run: Losses) -> dict[str, float]:
        """Of the last share of the training: mean, standard deviation over batches, and that over the mean; how far the
        mean fell since the share before, over it; and the lowest and the highest loss of a batch."""
        n = max(2, round(self.last * len(run.values)))
        late, before = run.values[-n:], run.values[-2 * n : -n]
        if len(before) < 2:
            raise ConfigError(f"trainer.log_every_n_steps: {len(run.values)} losses in all; allowed are 4 or more")
        level, spread = fmean(late), stdev(late)
        found = {"loss": level, "spread": spread, "relative_spread": spread / abs(level)}
        found |= {"relative_fall": (fmean(before) - level) / abs(level), "lowest": min(late), "highest": max(late)}
        return found | ({} if run.bound is None else {"bound": run.bound})


def noise_of(config: Mapping[str, Any]) -> float:
    """That of a run's data in its loss.

    Raises:
        ConfigError: for another loss than the sliced ones, and for one of noised data as it is.
    """
    kind, noise = kind_of(config, "loss"), config["loss"].get("noise")
    if not issubclass(kind, Sliced) or noise is None:
        raise ConfigError(
            f"study: sliced_noise of {kind.__name__} with loss.noise: {noise}; allowed are loss=sliced and "
            "loss=sliced_vr with loss.noise=NUMBER"
        )
    return float(noise)


def kind_of(config: Mapping[str, Any], group: str) -> type:
    """The class of a group's option."""
    return allowed(config[group]["_target_"], group, tuple(config["targets"]))


def scale_of(config: Mapping[str, Any], schedule: Schedule) -> float | None:
    """sigma(t)^power, which the loss is multiplied by; None where that is not the same at all times of the training."""
    power = config["loss"]["power"]
    if power == 0:
        return 1.0
    if kind_of(config, "times") is not OneLevel:
        return None
    times = build(config["times"], "times", list(config["targets"]), schedule=schedule)
    return float(schedule.marginal(times(torch.zeros(1, dtype=torch.float64), schedule).t).sigma ** power)


def bound_of(noise: float, scale: float | None) -> float | None:
    """What the objective cannot be below in the mean; None where nothing keeps it, or not the same at all times."""
    return -scale / (2 * noise**2) if noise and scale is not None else None


def words(noise: float) -> str:
    """The title of a panel."""
    return rf"noise $\sigma$ = {noise:g} on the data" if noise else "no noise on the data"


def read(path: Path) -> tuple[list[int], list[float]]:
    """Steps and training losses of a run's metrics.csv."""
    with path.open() as file:
        rows = [(int(row["step"]), float(row["train/loss"])) for row in csv.DictReader(file) if row["train/loss"]]
    return [step for step, _ in rows], [loss for _, loss in rows]
