"""The variants of a sweep beside each other: means over seeds, intervals, and what cannot be told from the best."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

from difflab.errors import ConfigError
from difflab.plots.sweep_table import Cell, sweep_table
from difflab.runs.assemble import Parts
from difflab.runs.comparison import settings
from difflab.runs.load import Run
from difflab.studies.statistics import by_errors, holm, interval, paired
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
        typed = json.loads((folder / "environment.json").read_text())["overrides"]
        return cls(settings(typed), json.loads((folder / "metrics.json").read_text()))

    @property
    def seed(self) -> str:
        return self.settings.get(SEED, "0")


class SweepTable:
    """Rows are what was tried, columns are figures: mean over seeds, 95% t-interval, n.

    The best variant of a column is compared with each other one by paired differences over the seeds that both have,
    Student's t, adjusted for all comparisons of the column (Holm, 1979). With fewer than two seeds in common the
    standard errors of the runs' own figures stand in, and the table says so; where there are none it tells nothing.

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

    def check(self, parts: Parts) -> None:
        """Every run suits."""

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        return self.tabulate([Job.of(run.folder.path) for run in runs], folder)

    def tabulate(self, jobs: Sequence[Job], folder: Path) -> dict[str, float]:
        """Write and print the table of these jobs; the figures."""
        variants = grouped(jobs)
        columns = {name: column(variants, name, name in self.higher) for name in self.metrics}
        columns = {name: cells for name, cells in columns.items() if any(cell.values for cell in cells.values())}
        text = markdown(columns)
        write(columns, folder / "table.csv")
        (folder / "table.md").write_text(text)
        print(text, end="")
        if columns:
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
    """One figure of every variant, the best marked and what cannot be told from it."""
    by_seed = {
        name: {job.seed: job.figures[metric] for job in jobs if isfinite(job.figures.get(metric, nan))}
        for name, jobs in variants.items()
    }
    there = {name: fmean(values.values()) for name, values in by_seed.items() if values}
    best = (max if higher else min)(there, key=lambda name: there[name]) if there else ""
    p, by_own = {}, set()
    for name in there.keys() - {best}:
        shared = [seed for seed in by_seed[best] if seed in by_seed[name]]
        p[name] = paired([by_seed[name][s] for s in shared], [by_seed[best][s] for s in shared]).p
        errors = [error_of(variants[which], metric) for which in (name, best)]
        if len(shared) < 2 and None not in errors:
            p[name] = by_errors(there[name], there[best], *errors).p  # type: ignore[arg-type]
            by_own |= {name}
    adjusted = holm(p)
    return {
        name: Cell(
            tuple(values.values()),
            fmean(values.values()) if values else nan,
            interval(list(values.values())),
            name == best,
            adjusted.get(name, nan),
            name in by_own,
        )
        for name, values in by_seed.items()
    }


def error_of(jobs: Sequence[Job], metric: str) -> float | None:
    """The standard error of a variant's mean by those of its runs' own figures; None where they say none."""
    errors = [job.figures[f"{metric}_stderr"] for job in jobs if f"{metric}_stderr" in job.figures]
    return sum(e**2 for e in errors) ** 0.5 / len(errors) if errors and len(errors) == len(jobs) else None
