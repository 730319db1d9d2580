"""Explicit, implicit, sliced and denoising score matching: one score, learned by each, and one number, said by each."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.distributions import Distribution
from difflab.errors import ConfigError
from difflab.losses import Explicit, Implicit, Loss, Noised, Score, Sliced, SlicedVR
from difflab.plots import Rows, estimates
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.progress import Progress
from difflab.randomness import stream
from difflab.runs.allowed import allowed
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.load import Run, option
from difflab.schedules import Schedule
from difflab.times import OneLevel

KINDS: dict[str, type] = {
    "explicit": Explicit,
    "implicit": Implicit,
    "sliced": Sliced,
    "sliced_vr": SlicedVR,
    "score": Score,
}


class ScoreMatching:
    """How good a score each loss has taught, and what every loss says of every network.

    On the law of the noised data itself: the explicit loss is the others plus a constant that the network has no part
    in, E|grad log q(x)|^2/2 for the implicit and the sliced ones, and minus what the noise adds for the denoising one.

    Args:
        points: fresh ones of the law that the errors are means over.
        batch: points at once.
    """

    of_sweep = True

    def __init__(self, points: int, batch: int) -> None:
        for field, value in (("points", points), ("batch", batch)):
            if value < 2:
                raise ConfigError(f"study.{field}: {value}; allowed are whole numbers from 2")
        self.points, self.batch = points, batch

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        if parts.data.distribution is None:
            raise ConfigError("study: score_matching compares with the exact score; allowed is data=gaussian_mixture")
        if name_of(config) not in KINDS:
            raise ConfigError(f"study: score_matching of another loss; allowed are loss={', '.join(KINDS)}")
        level_of(config, parts.denoiser.schedule)

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        figures: dict[str, float] = {}
        table: list[dict[str, float | str]] = []
        with Progress("score matching", len(runs) * self.points) as progress:
            for run in runs:
                name = name_of(run.config)
                row = self.row(run, progress)
                table.append({"trained with": name} | {key: value for key, (value, _) in row.items()})
                for key, (value, error) in row.items():
                    figures |= {f"score_matching/{name}_{key}": value, f"score_matching/{name}_{key}_stderr": error}
        with (folder / "score_matching.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
        self.draw([str(line["trained with"]) for line in table], figures, folder / "score_matching.png")
        return figures

    def row(self, run: Run, progress: Progress) -> dict[str, tuple[float, float]]:
        """Of one network: the share of the score that it misses, and every loss less its constant, with errors."""
        denoise, data, power = run.parts.denoiser, run.parts.data, run.config["loss"]["power"]
        times = level_of(run.config, denoise.schedule)
        law = data.distribution
        assert law is not None
        draws = torch.Generator().manual_seed(int(stream(0, "score_matching").integers(2**63 - 1)))
        losses = {name: of(name, run) for name in KINDS}
        said: dict[str, list[Tensor]] = {name: [] for name in ("missed", "whole", *KINDS)}
        for begin in range(0, self.points, self.batch):
            n = min(self.batch, self.points - begin)
            noised = some(law, denoise.schedule, times, n, draws)
            at = denoise.schedule.marginal(noised.t)
            exact = law.score(noised.x_t.double(), at)
            scale = at.sigma**power / 2
            whole = scale * exact.square().mean(1)
            noise = scale * (noised.eps.double() / at.sigma[:, None]).square().mean(1)
            said["whole"].append(whole)
            said["missed"].append(scale * (scored(denoise, noised) - exact).square().mean(1))
            for name, loss in losses.items():
                constant = {"explicit": torch.zeros_like(whole), "score": whole - noise}.get(name, whole)
                said[name].append(loss(denoise, noised, denoise.schedule).detach().double() + constant)
            progress.advance(n)
        joined = {name: torch.cat(values) for name, values in said.items()}
        joined["missed"] = joined["missed"] / joined.pop("whole").mean()
        return {name: (float(v.mean()), float(v.std() / len(v) ** 0.5)) for name, v in joined.items()}

    def draw(self, names: list[str], figures: dict[str, float], path: Path) -> None:
        """The share of the score that each has missed, and what each loss says of each network."""

        def rows(keys: list[str]) -> Rows:
            found = [(figures[f"score_matching/{k}"], figures[f"score_matching/{k}_stderr"]) for k in keys]
            return Rows([v for v, _ in found], [e for _, e in found])

        panels = {"share of the score missed, E|s - s*|^2 / E|s*|^2": {"": rows([f"{n}_missed" for n in names])}}
        said = {loss: rows([f"{n}_{loss}" for n in names]) for loss in KINDS}
        panels["what each loss says of the network, less its constant"] = said
        estimates(names, panels, "score matching at one noise level", path)


def of(name: str, run: Run) -> Loss:
    """A loss of that name at the power of the run's own, on the data's law."""
    node = option("loss", name, run.config, power=run.config["loss"]["power"])
    data = run.parts.data
    return build(node, "loss", run.config["targets"], dimensions=data.shape[0], distribution=data.distribution)


def name_of(config: Mapping[str, Any]) -> str:
    """The loss of a run, by the name of its option."""
    kind = allowed(config["loss"]["_target_"], "loss", tuple(config["targets"]))
    return next((name for name, known in KINDS.items() if kind is known), "")


def level_of(config: Mapping[str, Any], schedule: Schedule) -> OneLevel:
    """The times of a run that was trained at one noise level.

    Raises:
        ConfigError: where it was trained at others too.
    """
    times = build(config["times"], "times", list(config["targets"]), loss=None, denoise=None, schedule=schedule)
    if not isinstance(times, OneLevel):
        raise ConfigError("study: score_matching looks at one noise level; allowed are runs with times=one_level")
    return times


def some(law: Distribution, schedule: Schedule, times: OneLevel, n: int, draws: torch.Generator) -> Noised:
    """Fresh noised points of a law."""
    x0 = law.sample(n, draws).float()
    eps = torch.randn(x0.shape, generator=draws)
    t = times(torch.zeros(n, dtype=torch.float64), schedule).t
    return Noised(x0, eps, t, diffuse(schedule, x0, eps, t), lambda: torch.randn(x0.shape, generator=draws))


@torch.no_grad()
def scored(denoise: Denoiser, noised: Noised) -> Tensor:
    """The network's score, float64."""
    return denoise(noised.x_t, noised.t).score.double()
