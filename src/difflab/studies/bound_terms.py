"""The bound on -log p term by term, for the fixed variances beta and beta~ and for a learned one."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import Likelihood, Scorer
from difflab.evaluation.likelihood import held_out_and_test
from difflab.likelihood import Bound, Exact
from difflab.plots.bounds import Term, bounds
from difflab.process import Forward, Learned, Posterior, Variance
from difflab.progress import Progress
from difflab.runs.assemble import Parts
from difflab.runs.load import Run

FIXED: tuple[type[Variance], ...] = (Forward, Posterior)


class Row(NamedTuple):
    """One bound of one run.

    Attributes:
        name: of the variance.
        run: its number among the runs.
        terms: bits per dimension of each image and step, [N, T + 1], the prior at 0, the decoder at 1; float64.
    """

    name: str
    run: int
    terms: Tensor

    def parts(self) -> dict[str, Tensor]:
        """Of each image: L_T, the sum of the L_{k-1} for k >= 2, L_0, and all of it, [N]."""
        steps = self.terms[:, 2:].sum(1)
        prior, decoder = self.terms[:, 0], self.terms[:, 1]
        return {"prior": prior, "steps": steps, "decoder": decoder, "total": prior + steps + decoder}


class BoundTerms:
    """L_T, L_{k-1} and L_0 of each step from all T of them (Ho et al., 2020, Eq. 5; Nichol & Dhariwal, 2021, Fig. 2).

    A run trained with a learned variance is asked for that one, others for beta and beta~; where all runs have learned
    ones, the first is asked for all three. The noise of image i is that of likelihood=exact.

    Args:
        images: of the test part, the first ones.
        batch: images the network sees at once.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = True

    def __init__(self, images: int, batch: int) -> None:
        if images < 2:
            raise ConfigError(f"study.images: {images}; allowed are whole numbers from 2")
        self.images, self.batch = images, batch

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        if not isinstance(parts.data, ImageData) or parts.denoiser.schedule.T is None:
            raise ConfigError("study: bound_terms; its terms are steps of a chain; allowed with images and a T")
        if not isinstance(parts.variance, (*FIXED, Learned)):
            raise ConfigError("study: bound_terms; allowed are variance=posterior, variance=forward, variance=learned")
        if self.images > len(parts.data.test):
            raise ConfigError(f"study.images: {self.images}; allowed are 2 to {len(parts.data.test)}, the test part")

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        learned = [isinstance(run.parts.variance, Learned) for run in runs]
        rows: list[Row] = []
        for i, run in enumerate(runs):
            wanted = [Learned] if learned[i] else [*FIXED]
            wanted = [*FIXED, Learned] if all(learned) and i == 0 else wanted
            rows += self.rows(i, run, [kind() for kind in wanted])
        write(rows, folder / "bound_terms.csv")
        bounds([Term(key, *spread(row.terms)) for key, row in named(rows)], folder / "bound_terms.png")
        found = {}
        for key, row in named(rows):
            for part, bits in row.parts().items():
                mean, stderr = spread(bits[:, None])
                found[f"bound_terms/{key}_{part}"] = float(mean)
                found[f"bound_terms/{key}_{part}_stderr"] = float(stderr)
        return found

    def rows(self, number: int, run: Run, variances: list[Variance]) -> list[Row]:
        """The bounds of a run, all from the same network calls."""
        parts = run.parts
        data, schedule, likelihood = parts.data, parts.denoiser.schedule, parts.likelihood
        assert isinstance(data, ImageData) and schedule.T is not None
        clip = likelihood.clip if isinstance(likelihood, Likelihood) else True
        decoder = likelihood.decoder if isinstance(likelihood, Likelihood) else None
        own = [Bound(schedule, variance, clip, data.levels, decoder) for variance in variances]
        scorer = Scorer(parts.denoiser, Exact(), own, run.config["generation"]["seed"], self.batch)
        _, test = held_out_and_test(parts.denoiser, data, self.images)
        plan, found = scorer.plan(test), []
        with Progress("the bound term by term", len(test.x0) * schedule.T) as progress:
            for i in range(len(test.x0)):
                found.append(scorer.block(test.rows(slice(i, i + 1)), "test", i, plan, 0)[2])
                progress.advance(schedule.T, f"run {number}")
        terms = torch.stack(found, 1)
        terms[:, :, 0] = own[0].prior(test.x0)
        return [Row(type(v).__name__.lower(), number, t) for v, t in zip(variances, terms, strict=True)]


def named(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Each row by its variance, with the number of its run where several runs have that variance."""
    for row in rows:
        shared = sum(other.name == row.name for other in rows) > 1
        yield (f"{row.name}_{row.run}" if shared else row.name), row


def spread(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the images and its standard error, from images and noise together: [N, ...] to [...]."""
    return bits.mean(0), bits.std(0) / len(bits) ** 0.5


def write(rows: Sequence[Row], path: Path) -> None:
    """A line for each step: bits per dimension of every bound with their standard errors; step 0 is the prior."""
    columns = [(key, *spread(row.terms)) for key, row in named(rows)]
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["step", *(f"{key}{end}" for key, _, _ in columns for end in ("", "_stderr"))])
        for k in range(max(len(mean) for _, mean, _ in columns)):
            cells = [f"{float(part[k]):.6g}" if k < len(part) else "" for _, *both in columns for part in both]
            table.writerow([k, *cells])
