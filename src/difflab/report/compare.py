"""From runs to a report: what they are compared by, their cells, and what differs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite

import difflab
from difflab.report.cells import by_seed, cells
from difflab.report.comparable import parts
from difflab.report.effects import effects
from difflab.report.factors import variants
from difflab.report.metrics import chosen
from difflab.report.model import Cell, Pair, Report, Run
from difflab.report.pairs import pairs
from difflab.report.words import called


def compare(
    runs: Sequence[Run],
    problems: Sequence[str],
    sources: Sequence[str],
    metrics: Sequence[str] | None = None,
    command: str = "",
    higher: Sequence[str] = (),
) -> Report:
    """Everything that the page and the files tell.

    Args:
        runs: all that were found.
        problems: with whatever could not be read.
        sources: what the user named.
        metrics: keys of metrics.json to compare by; None or none of them: the main ones. `figures` for users.
        command: that makes this report.
        higher: keys of which more is better, beside those that are known to be so.

    Raises:
        ConfigError: for keys that no run has.
    """
    factors, found = variants(runs)
    columns = chosen(runs, metrics or (), higher)
    values = {m.key: {v.name: by_seed(v.runs, m.key) for v in found} for m in columns}
    told: dict[str, dict[str, Cell]] = {}
    differences: list[Pair] = []
    for m in columns:
        told[m.key] = {}
        for own in parts(found, m).values():
            tested = pairs(m, {v.name: values[m.key][v.name] for v in own})
            told[m.key] |= cells(m, values[m.key], own, tested)
            differences += tested
    report = Report(
        title=title_of(runs),
        sources=tuple(sources),
        runs=tuple(runs),
        factors=factors,
        variants=tuple(found),
        metrics=columns,
        cells=told,
        pairs=tuple(differences),
        effects=tuple(e for m in columns for e in effects(m, factors, found, values[m.key])),
        problems=tuple(problems),
        command=command,
        made=datetime.now().astimezone().isoformat(timespec="seconds"),
        version=difflab.__version__,
    )
    return replace(report, problems=(*problems, *left_out(report), *apart_in(report)))


def title_of(runs: Sequence[Run]) -> str:
    """The names of the experiments, and how many runs they are."""
    names = list(dict.fromkeys(run.settings["name"] for run in runs if run.settings.get("name")))
    what = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    return f"{what}: {count}" if what else count


def left_out(report: Report) -> Iterator[str]:
    """A line for each figure that some runs lack, or that is no number there."""
    runs = [run for variant in report.variants for run in variant.runs]
    for metric in report.metrics:
        lacking = [run.name for run in runs if metric.key not in run.figures]
        infinite = [run.name for run in runs if not isfinite(run.figures.get(metric.key, 0))]
        if lacking:
            yield f"{metric.key}: not in {some(lacking)}; means and tests are of the other runs"
        if infinite:
            yield f"{metric.key}: no finite number in {some(infinite)}; means and tests are of the other runs"


def apart_in(report: Report) -> Iterator[str]:
    """A line for each variant some of whose runs have the same seed, or were trained for other numbers of steps."""
    for variant in report.variants:
        name = called(report, variant.name)
        for seed in dict.fromkeys(run.seed for run in variant.runs if run.seed is not None):
            own = [run.name for run in variant.runs if run.seed == seed]
            if len(own) > 1:
                times = "twice" if len(own) == 2 else f"{len(own)} times"
                yield f"{name}: seed {seed} was run {times} ({some(own)}); their mean counts once"
        steps: dict[float, list[str]] = {}
        for run in variant.runs:
            if "train/steps" in run.figures:
                of_run = run.name if run.seed is None else str(run.seed)
                steps.setdefault(run.figures["train/steps"], []).append(of_run)
        if len(steps) > 1:
            each = [f"{n:,.0f} (seed{'s' * (len(own) > 1)} {some(own)})" for n, own in sorted(steps.items())]
            yield f"{name}: trained for different numbers of steps: {', '.join(each)}"


def some(names: Sequence[str]) -> str:
    """The first of many runs."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
