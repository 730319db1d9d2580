"""A figure of each variant: its mean over seeds with an interval, and how far it can be told from the best."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from statistics import fmean

from difflab.report.model import Cell, Metric, Pair, Run, Variant
from difflab.statistics import interval

Values = Mapping[str, Mapping[str, float]]  # by variant, by seed


def key_of(run: Run) -> str:
    """What a run is counted by: its seed, or its name where it has none."""
    return f"run {run.name}" if run.seed is None else str(run.seed)


def by_seed(runs: Sequence[Run], key: str) -> dict[str, float]:
    """A figure by seed, the mean over the runs of that seed that have a finite one.

    Runs of one seed share their luck: another one says something of the rounding of machines, nothing of other seeds.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        if isfinite(run.figures.get(key, nan)):
            found.setdefault(key_of(run), []).append(run.figures[key])
    # Equal figures stay what they are, without the rounding of a mean.
    return {seed: each[0] if len(set(each)) == 1 else fmean(each) for seed, each in found.items()}


def best_of(values: Values, metric: Metric) -> str | None:
    """The variant with the best mean, the first of equals; None where fewer than two have a value."""
    means = {name: fmean(each.values()) for name, each in values.items() if each}
    return (max if metric.higher else min)(means, key=means.__getitem__) if len(means) > 1 else None


def cells(metric: Metric, values: Values, variants: Sequence[Variant], pairs: Sequence[Pair]) -> dict[str, Cell]:
    """The cells of a metric, by the name of the variant.

    Args:
        metric: of this column.
        values: by variant, by seed.
        variants: that can be compared with each other.
        pairs: of this metric, adjusted.
    """
    best = best_of({variant.name: values[variant.name] for variant in variants}, metric)
    top = fmean(values[best].values()) if best is not None else nan
    tested = {frozenset((pair.a, pair.b)): pair for pair in pairs}
    found = {}
    for variant in variants:
        each = values[variant.name]
        mean = fmean(each.values()) if each else nan
        errors = [e for run in variant.runs if isfinite(e := run.figures.get(f"{metric.key}_stderr", nan))]
        against = best if best is not None and each and mean != top else ""
        pair = tested.get(frozenset((variant.name, against)))
        found[variant.name] = Cell(
            values=dict(each),
            mean=mean,
            half=interval(list(each.values())),
            best=mean == top,
            p=nan if pair is None else pair.holm,
            stderr=fmean(errors) if errors else nan,
            of=len({key_of(run) for run in (*variant.runs, *variant.lost)}),
            against=against,
            ahead=nan if pair is None else ahead(metric, pair, variant.name, values),
        )
    return found


def ahead(metric: Metric, pair: Pair, name: str, values: Values) -> float:
    """By how much a variant is better than the best on the seeds that they share; nan where it is not, or all are."""
    more = pair.mean if pair.a == name else -pair.mean
    better = more if metric.higher else -more
    part = 0 < pair.n < max(len(values[pair.a]), len(values[pair.b]))
    return better if part and better > 0 else nan
