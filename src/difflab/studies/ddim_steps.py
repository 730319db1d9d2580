"""Quality against steps for DDIM's family: Table 1 of Song et al. (2021, DDIM), on the data of a run."""

import csv
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace, as_pictures
from difflab.evaluation.distances import Names
from difflab.metrics import Reference, moments
from difflab.plots import Curve, quality
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.load import Run, option
from difflab.runs.paths import cache_folder
from difflab.samplers import Sampler
from difflab.statistics import Difference, holm, paired

FORWARD = "forward"


class Row(NamedTuple):
    """The distances of one variant at so many steps, one for each draw."""

    variant: str
    steps: int
    distances: list[float]

    @property
    def stderr(self) -> float:
        """Of the mean; nan for a single draw."""
        return stdev(self.distances) / len(self.distances) ** 0.5 if len(self.distances) > 1 else float("nan")


class DDIMSteps:
    """Frechet distance against steps for DDIM at each eta and for ancestral sampling with the forward variance.

    The last is the paper's sigma-hat: on a sub-grid its variance is 1 - abar_t / abar_s, that of q(x_t | x_s).
    x0_hat is clipped as the options of the samplers say. All variants start from the same noise, so that their
    differences are paired over the draws.

    Args:
        steps: network calls for a sample; all T of the chain are added.
        etas: of DDIM, in rising order.
        samples: in each draw.
        draws: at each number of steps.
        full_draws: at all T steps, where a sample costs most; 0 leaves them out.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = False

    def __init__(self, steps: Sequence[int], etas: Sequence[float], samples: int, draws: int, full_draws: int) -> None:
        for field, value, least in (("samples", samples, 2), ("draws", draws, 1), ("full_draws", full_draws, 0)):
            if value < least:
                raise ConfigError(f"study.{field}: {value}; allowed are whole numbers from {least}")
        if not etas or list(etas) != sorted(set(etas)) or not 0 <= etas[0] <= etas[-1] <= 1:
            raise ConfigError(f"study.etas: {list(etas)}; allowed are rising numbers from 0 to 1")
        if not steps or min(steps) < 2:
            raise ConfigError(f"study.steps: {list(steps)}; allowed are whole numbers from 2")
        self.steps, self.etas, self.samples = sorted(set(steps)), list(etas), samples
        self.draws, self.full_draws = draws, full_draws

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        T, d = parts.denoiser.schedule.T, parts.extractor.dimension
        if not isinstance(parts.data, ImageData):
            raise ConfigError("study: ddim_steps; it compares images in a feature space; allowed with data of images")
        if T is None:
            raise ConfigError("study: ddim_steps; it counts steps of a chain; allowed with schedules that have a T")
        if self.steps[-1] > T:
            raise ConfigError(f"study.steps: {self.steps[-1]}; allowed are 2 to schedule.T = {T}")
        most = min(len(parts.data.reference), len(parts.data.test))
        if not d < self.samples <= most:
            raise ConfigError(f"study.samples: {self.samples}; allowed are {d + 1} to {most}, the test part")

    def variants(self, run: Run, steps: int) -> dict[str, Sampler]:
        """Each sampler with so many steps, in the order of the paper's table."""

        def made(name: str, **values: object) -> Sampler:
            return build(option("sampler", name, run.config, steps=steps, **values), "sampler", run.config["targets"])

        found = {f"eta{eta:g}": made("ddim", eta=float(eta)) for eta in self.etas}
        return found | {FORWARD: made("ancestral", variance=option("variance", "forward", run.config))}

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        (run,) = runs
        data, T = run.parts.data, run.parts.denoiser.schedule.T
        assert isinstance(data, ImageData) and T is not None
        space = FeatureSpace(run.parts.extractor, data, cache_folder(run.config["cache"]))
        space.prepare(run.parts.denoiser.device)
        reference = Reference(*moments(space.train.features))
        floor = reference.distance(*moments(space.test.features[: self.samples]))
        plan = {steps: self.draws for steps in self.steps if steps < T}
        plan |= {T: self.full_draws} if self.full_draws else {}
        rows = []
        for steps, draws in plan.items():
            for variant, sampler in self.variants(run, steps).items():
                pictures = as_pictures(run.sample(draws * self.samples, sampler), data)
                drawn = space.of(lambda where, p=pictures: p[where], len(pictures), f"{variant}, {steps} steps")
                each = [reference.distance(*moments(share)) for share in drawn.features.chunk(draws)]
                rows.append(Row(variant, steps, each))
        write(rows, folder)
        name = f"test/{Names.of(space.extractor).frechet}"
        quality({name: curves(rows)}, {name: floor}, folder / "ddim_steps.png")
        return {"ddim_steps/floor": floor} | figures(rows)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """One for each variant."""
    found = []
    for variant in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == variant]
        values = [fmean(row.distances) for row in own]
        label = "forward variance" if variant == FORWARD else variant.replace("eta", "DDIM, eta ")
        found.append(Curve(label, [row.steps for row in own], values, [row.stderr for row in own]))
    return found


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Means with their errors, and how far each variant lies above those before it in the paper's order."""
    found = {}
    for row in rows:
        key = f"ddim_steps/{row.variant}_{row.steps}"
        found |= {key: fmean(row.distances)} | ({f"{key}_stderr": row.stderr} if len(row.distances) > 1 else {})
    for steps, gaps in ordering(rows).items():
        for (a, b), gap in gaps.items():
            key = f"ddim_steps/{b}_above_{a}_{steps}"
            found |= {key: gap.mean} | ({f"{key}_stderr": gap.stderr} if gap.stderr == gap.stderr else {})
    return found


def ordering(rows: Sequence[Row]) -> dict[int, dict[tuple[str, str], Difference]]:
    """By steps and pair of variants, the paired difference of the later one in the paper's order to the earlier one.

    p-values are adjusted for all pairs at those steps (Holm, 1979).
    """
    found = {}
    for steps in dict.fromkeys(row.steps for row in rows):
        own = [row for row in rows if row.steps == steps]
        gaps = {(a.variant, b.variant): paired(b.distances, a.distances) for a, b in combinations(own, 2)}
        adjusted = holm({pair: gap.p for pair, gap in gaps.items()})
        found[steps] = {pair: gap._replace(p=adjusted[pair]) for pair, gap in gaps.items()}
    return found


def write(rows: Sequence[Row], folder: Path) -> None:
    """As CSV the distances of every draw, and the differences of all pairs."""
    with (folder / "ordering.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["steps", "variant", "above", "difference", "stderr", "p_holm"])
        for steps, gaps in ordering(rows).items():
            for (a, b), gap in gaps.items():
                table.writerow([steps, b, a, *(f"{value:.4g}" if value == value else "" for value in gap)])
    with (folder / "ddim_steps.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["variant", "steps", "draw", "frechet_distance"])
        for row in rows:
            table.writerows([row.variant, row.steps, i, f"{value:.6g}"] for i, value in enumerate(row.distances))
