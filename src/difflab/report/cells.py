"""A figure of each variant: its mean over seeds with an interval, and how far it can be told from the best."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from statistics import fmean

from difflab.report.model import Cell, Metric, Pair, Run
from difflab.statistics import interval

Values = Mapping[str, Mapping[str, float]]  # by variant, by seed


def by_seed(runs: Sequence[Run], key: str) -> dict[str, float]:
    """The finite values of a figure by seed; by name, for a run without a seed and for one whose seed occurs twice.

    Runs of one seed with the same value are the same run twice: it counts once, since it says nothing of other seeds.
    """
    found = [(run, run.figures[key]) for run in runs if isfinite(run.figures.get(key, nan))]
    seeds: dict[int, list[float]] = {}
    for run, value in found:
        if run.seed is not None:
            seeds.setdefault(run.seed, []).append(value)
    return {
        f"run {run.name}" if run.seed is None or len(set(seeds[run.seed])) > 1 else str(run.seed): value
        for run, value in found
    }


def best_of(values: Values, metric: Metric) -> str | None:
    """The variant with the best mean, the first of equals; None where none has a value."""
    means = {name: fmean(each.values()) for name, each in values.items() if each}
    return (max if metric.higher else min)(means, key=means.__getitem__) if means else None


def cells(metric: Metric, values: Values, runs: Mapping[str, Sequence[Run]], pairs: Sequence[Pair]) -> dict[str, Cell]:
    """The cells of a metric, by the name of the variant.

    Args:
        metric: of this column.
        values: by variant, by seed.
        runs: of each variant.
        pairs: of this metric, adjusted.
    """
    best = best_of(values, metric)
    top = fmean(values[best].values()) if best is not None else nan
    p = {frozenset((pair.a, pair.b)): pair.holm for pair in pairs}
    found = {}
    for name, each in values.items():
        mean = fmean(each.values()) if each else nan
        errors = [e for run in runs[name] if isfinite(e := run.figures.get(f"{metric.key}_stderr", nan))]
        found[name] = Cell(
            values=dict(each),
            mean=mean,
            half=interval(list(each.values())),
            best=mean == top,
            p=nan if mean == top else p.get(frozenset((name, best or "")), nan),
            stderr=fmean(errors) if errors else nan,
        )
    return found
