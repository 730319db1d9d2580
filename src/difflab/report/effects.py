"""What a level of a factor does to a figure, whatever the other factors are set to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from statistics import fmean

from difflab.report.model import Effect, Metric, Variant
from difflab.statistics import holm, paired, quantile

Values = Mapping[str, float]  # of one variant, by seed
Matched = tuple[Values, Values]  # of a level and of the reference, all other factors being the same


def effects(
    metric: Metric,
    factors: Mapping[str, Sequence[str]],
    variants: Sequence[Variant],
    values: Mapping[str, Values],
) -> tuple[Effect, ...]:
    """Each level of each factor, adjusted among all of them.

    A level is compared with the first that was met; where no setting of the other factors has both, as in grids with
    gaps, with the next that shares one.

    Args:
        metric: of these values.
        factors: their levels.
        variants: with their levels.
        values: by variant, by seed.
    """
    there = [variant for variant in variants if values[variant.name]]
    found = []
    for factor, levels in factors.items():
        known = [level for level in levels if any(v.levels.get(factor) == level for v in there)]
        for i, level in enumerate(known):
            for reference in known[:i]:
                cells = matched(factor, level, reference, there, values)
                if cells:
                    found.append(effect(metric.key, factor, level, reference, cells))
                    break
    adjusted = holm({i: each.p for i, each in enumerate(found)})
    return tuple(replace(each, holm=adjusted[i]) for i, each in enumerate(found))


def matched(
    factor: str, level: str, reference: str, variants: Sequence[Variant], values: Mapping[str, Values]
) -> list[Matched]:
    """Values under both levels, for each setting of the other factors that has both."""
    rest: dict[tuple[tuple[str, str], ...], dict[str, Values]] = {}
    for variant in variants:
        others = tuple(sorted((k, v) for k, v in variant.levels.items() if k != factor))
        rest.setdefault(others, {})[variant.levels.get(factor, "")] = values[variant.name]
    return [(cell[level], cell[reference]) for cell in rest.values() if level in cell and reference in cell]


def effect(key: str, factor: str, level: str, reference: str, cells: Sequence[Matched]) -> Effect:
    """The mean over settings within each seed first, then Student's t over seeds: seeds are what is drawn at random.

    Where no seed is in both levels of a setting, the difference of the means is told without an interval.
    """
    seeds, used = block([{seed for seed in high if seed in low} for high, low in cells])
    if not seeds:
        mean = fmean(fmean(high.values()) - fmean(low.values()) for high, low in cells)
        return Effect(key, factor, level, reference, mean, nan, 0, len(cells), nan, nan)
    both = [cells[i] for i in used]
    told = paired(*([fmean(cell[side][seed] for cell in both) for seed in seeds] for side in (0, 1)))
    return Effect(key, factor, level, reference, told.mean, told.half(), len(seeds), len(used), told.p, told.p)


def block(shared: Sequence[set[str]]) -> tuple[list[str], list[int]]:
    """The seeds and the settings to average over, so that every one of these seeds is in every one of these settings.

    A mean over other settings in one seed than in another would count what the settings do as if the seeds did it. Of
    the blocks without gaps, that which promises the narrowest interval, by its numbers of runs and of seeds alone.

    Args:
        shared: the seeds that each setting has.
    """
    candidates = [set.intersection(*shared), *shared]
    blocks = [(seeds, [i for i, each in enumerate(shared) if seeds <= each]) for seeds in candidates if seeds]
    if not blocks:
        return [], []
    seeds, used = max(blocks, key=lambda b: (sharpness(len(b[0]), len(b[1])), len(b[1])))
    return sorted(seeds), used


def sharpness(seeds: int, settings: int) -> float:
    """What the width of an interval is inverse to, the spread of single runs being the same; 0 without an interval."""
    return (seeds * settings) ** 0.5 / quantile(seeds - 1) if seeds > 1 else 0.0
