"""What a reader sees of a single run."""

from collections.abc import Mapping
from typing import NamedTuple

from difflab.report.model import Report, Run
from difflab.report.page.config_differences import Difference, common, differences
from difflab.report.page.pictures import Picture
from difflab.report.page.provenance import command, commit, machine, packages
from difflab.report.words import shown
from difflab.runs.results import number


class Details(NamedTuple):
    """A run, its levels, its figures as (key, value, standard error), and what else sets its config apart."""

    run: Run
    levels: tuple[str, ...]
    main: tuple[float | None, ...]
    figures: tuple[tuple[str, str, str], ...]
    differences: tuple[Difference, ...]
    pictures: tuple[tuple[int, Picture], ...]
    command: str
    commit: str
    versions: str
    machine: str


def details(report: Report, pictures: Mapping[str, Mapping[int, Picture]]) -> list[Details]:
    """Of all runs; the pictures are told by step."""
    most = common(report.runs)
    levels = {run.name: variant.levels for variant in report.variants for run in (*variant.runs, *variant.lost)}
    return [
        Details(
            run,
            tuple(shown(levels.get(run.name, run.settings).get(factor, "")) for factor in report.factors),
            tuple(run.figures.get(metric.key) for metric in report.metrics),
            tuple(figures(run)),
            tuple(differences(run, most, report.factors)),
            tuple(sorted(pictures.get(run.name, {}).items())),
            command(run) or "",
            commit(run) if run.environment else "",
            ", ".join(f"{name} {version}" for name, version in packages(run).items()),
            machine(run) if run.environment else "",
        )
        for run in report.runs
    ]


def figures(run: Run) -> list[tuple[str, str, str]]:
    """Final figures, each with its Monte-Carlo standard error beside it."""
    errors = {key for key in run.figures if key.endswith("_stderr") and key.removesuffix("_stderr") in run.figures}
    return [
        (key, number(value), f"{run.figures[f'{key}_stderr']:.2g}" if f"{key}_stderr" in errors else "")
        for key, value in run.figures.items()
        if key not in errors
    ]
