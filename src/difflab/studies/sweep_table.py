"""The variants of a sweep beside each other: means over seeds, intervals, and what cannot be told from the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from math import isfinite, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from difflab.errors import ConfigError
from difflab.plots.sweep_table import Cell, sweep_table
from difflab.runs.assemble import Parts
from difflab.runs.comparison import settings
from difflab.runs.load import Run
from difflab.runs.trust import read_json
from difflab.statistics import holm, interval, paired
from difflab.studies.sweep_text import markdown, write

SEED, NAMES = "seed", ("name", "outputs", "tags")  # what says which run it is, not what was tried


@dataclass(frozen=True)
class Job:
    """A finished run: what was typed, and its figures."""

    settings: Mapping[str, str]
    figures: Mapping[str, float]

    @classmethod
    def of(cls, folder: Path) -> "Job":
        """What a run folder says."""
        typed = read_json(folder / "environment.json", "runs").get("overrides", [])
        return cls(settings(list(map(str, typed))), read_json(folder / "metrics.json", "runs"))

    @property
    def seed(self) -> str:
        return self.settings.get(SEED, "0")


class SweepTable:
    """Rows are what was tried, columns are figures: mean over seeds, 95% t-interval, n.

    Every two variants of a column are compared by paired differences over the seeds that both have, Student's t,
    adjusted for all pairs of the column (Holm, 1979): which of them is the best is chosen by the same figures, and
    comparisons with it alone would find too much. Variants with fewer than two seeds in common are not compared, since
    the error of a single run's figure leaves out what another training would have changed.

    Args:
        metrics: keys of metrics.json.
        higher: those of them of which more is better.

    Raises:
        ConfigError: without metrics, and for higher ones that are none of them.
    """

    of_sweep = True

    def __init__(self, metrics: Sequence[str], higher: Sequence[str]) -> None:
        if not metrics or len(set(metrics)) < len(metrics):
            raise ConfigError(f"study.metrics: {list(metrics)}; allowed are one or more keys of metrics.json")
        for name in higher:
            if name not in metrics:
                raise ConfigError(f"study.higher: {name}; allowed are those of study.metrics: {', '.join(metrics)}")
        self.metrics, self.higher = list(metrics), set(higher)

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        """Every run suits."""

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        return self.tabulate([Job.of(run.folder.path) for run in runs], folder)

    def tabulate(self, jobs: Sequence[Job], folder: Path) -> dict[str, float]:
        """Write and print the table of these jobs; the figures.

        Raises:
            ConfigError: for a metric that none of them has.
        """
        known = sorted({name for job in jobs for name in job.figures})
        for name in self.metrics:
            if name not in known:
                near = ", ".join(get_close_matches(name, known, n=5, cutoff=0.0))
                raise ConfigError(f"study.metrics: {name} is in none of the runs; allowed are those there, as {near}")
        variants = grouped(jobs)
        columns = {name: column(variants, name, name in self.higher) for name in self.metrics}
        text = markdown(columns)
        write(columns, folder / "table.csv")
        (folder / "table.md").write_text(text)
        print(text, end="")
        sweep_table(columns, folder / "table.png")
        found = {}
        for name, cells in columns.items():
            for variant, cell in cells.items():
                if cell.values:
                    key = f"sweep_table/{variant}/{name}"
                    found |= {key: cell.mean} | ({f"{key}_interval": cell.interval} if len(cell.values) > 1 else {})
        return found


def grouped(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Jobs that differ in their seed alone, by what sets them apart from the others.

    Where one field says it all, such as ablation=A,B,C, its value is the name.
    """
    typed = [{k: v for k, v in job.settings.items() if k != SEED and k not in NAMES} for job in jobs]
    fields = list(dict.fromkeys(field for one in typed for field in one))
    fields = [field for field in fields if len({one.get(field) for one in typed}) > 1]
    found: dict[str, list[Job]] = {}
    for job, one in zip(jobs, typed, strict=True):
        own = [(field, one[field]) for field in fields if field in one]
        short = len(fields) == 1 and bool(own)
        name = own[0][1] if short else ",".join(f"{field}={value}" for field, value in own) or "as it is"
        found.setdefault(name, []).append(job)
    return found


def column(variants: Mapping[str, Sequence[Job]], metric: str, higher: bool) -> dict[str, Cell]:
    """One figure of every variant, the best marked, and p of what may differ from it, adjusted among all pairs."""
    by_seed = {
        name: {job.seed: job.figures[metric] for job in jobs if isfinite(job.figures.get(metric, nan))}
        for name, jobs in variants.items()
    }
    there = {name: fmean(values.values()) for name, values in by_seed.items() if values}
    best = (max if higher else min)(there, key=lambda name: there[name]) if there else ""
    p = {}
    for a, b in combinations(there, 2):
        shared = [seed for seed in by_seed[a] if seed in by_seed[b]]
        p[frozenset((a, b))] = paired([by_seed[a][s] for s in shared], [by_seed[b][s] for s in shared]).p
    adjusted = holm(p)
    return {
        name: Cell(
            tuple(values.values()),
            fmean(values.values()) if values else nan,
            interval(list(values.values())),
            name == best,
            adjusted.get(frozenset((name, best)), nan),
        )
        for name, values in by_seed.items()
    }
