"""From runs to a report: what they are compared by, their cells, and what differs."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import isfinite

import difflab
from difflab.report.cells import by_seed, cells
from difflab.report.effects import effects
from difflab.report.factors import variants
from difflab.report.metrics import chosen
from difflab.report.model import Metric, Report, Run, Variant
from difflab.report.pairs import pairs


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
    differences = {m.key: pairs(m, values[m.key]) for m in columns}
    owned = {variant.name: variant.runs for variant in found}
    return Report(
        title=title_of(runs),
        sources=tuple(sources),
        runs=tuple(runs),
        factors=factors,
        variants=tuple(found),
        metrics=columns,
        cells={m.key: cells(m, values[m.key], owned, differences[m.key]) for m in columns},
        pairs=tuple(pair for each in differences.values() for pair in each),
        effects=tuple(e for m in columns for e in effects(m, factors, found, values[m.key])),
        problems=(*problems, *left_out(found, columns)),
        command=command,
        made=datetime.now().astimezone().isoformat(timespec="seconds"),
        version=difflab.__version__,
    )


def title_of(runs: Sequence[Run]) -> str:
    """The names of the experiments, and how many runs they are."""
    names = list(dict.fromkeys(run.settings["name"] for run in runs if run.settings.get("name")))
    what = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    return f"{what}: {count}" if what else count


def left_out(variants: Sequence[Variant], metrics: Sequence[Metric]) -> Iterator[str]:
    """A line for each figure that some runs lack, or that is no number there, and for each seed that occurs twice."""
    runs = [run for variant in variants for run in variant.runs]
    for metric in metrics:
        lacking = [run.name for run in runs if metric.key not in run.figures]
        infinite = [run.name for run in runs if not isfinite(run.figures.get(metric.key, 0))]
        if lacking:
            yield f"{metric.key}: not in {some(lacking)}; means and tests are of the other runs"
        if infinite:
            yield f"{metric.key}: no finite number in {some(infinite)}; means and tests are of the other runs"
    for variant in variants:
        for seed in dict.fromkeys(run.seed for run in variant.runs if run.seed is not None):
            own = [run for run in variant.runs if run.seed == seed]
            if len(own) > 1:
                same = all(len({run.figures.get(metric.key) for run in own}) == 1 for metric in metrics)
                how = "equal figures count once" if same else "their figures differ, they count as runs without a seed"
                yield f"{variant.name}: seed {seed} in {', '.join(run.name for run in own)}: {how}"


def some(names: Sequence[str]) -> str:
    """The first of many runs."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
