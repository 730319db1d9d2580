"""What a level of a factor does to a figure, whatever the other factors are set to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from statistics import fmean

from difflab.report.comparable import parts
from difflab.report.factors import ABSENT
from difflab.report.model import Effect, Metric, Variant
from difflab.report.pairs import difference
from difflab.statistics import Difference, holm, paired, quantile

Values = Mapping[str, float]  # of one variant, by seed
Setting = tuple[str, str]  # the part that can be compared, and the other factors, such as "schedule=linear"
Matched = tuple[Values, Values]  # of a level and of the reference, all other factors being the same


def effects(
    metric: Metric,
    factors: Mapping[str, Sequence[str]],
    variants: Sequence[Variant],
    values: Mapping[str, Values],
) -> tuple[Effect, ...]:
    """Each level of each factor, adjusted among all of them.

    A level is compared with the first that was met; where no setting of the other factors has both, as in grids with
    gaps, with the next that shares one. Levels that give the figure another meaning are not compared.

    Args:
        metric: of these values.
        factors: their levels.
        variants: with their levels.
        values: by variant, by seed.
    """
    found = []
    comparable = parts(variants, metric)
    for factor, levels in factors.items():
        settings = by_setting(factor, comparable, values)
        for i, level in enumerate(levels):
            for reference in levels[:i]:
                either = {name: each for name, each in settings.items() if level in each or reference in each}
                both = {name: matched for name, each in either.items() if (matched := both_of(each, level, reference))}
                if both:
                    own = effect(metric.key, factor, level, reference, both)
                    found.append(replace(own, of=len(either)))
                    break
    adjusted = holm({i: each.p for i, each in enumerate(found)})
    return tuple(replace(each, holm=adjusted[i]) for i, each in enumerate(found))


def by_setting(
    factor: str, parts: Mapping[str, Sequence[Variant]], values: Mapping[str, Values]
) -> dict[Setting, dict[str, Values]]:
    """By setting of the other factors the values of each level of this one, for each part that can be compared."""
    found: dict[Setting, dict[str, Values]] = {}
    for part, variants in parts.items():
        for variant in variants:
            others = " ".join(f"{k}={v}" for k, v in sorted(variant.levels.items()) if k != factor and v != ABSENT)
            found.setdefault((part, others), {})[variant.levels.get(factor, "")] = values[variant.name]
    return found


def both_of(levels: Mapping[str, Values], level: str, reference: str) -> Matched | None:
    """Values under both levels; None where one has none."""
    high, low = levels.get(level), levels.get(reference)
    return (high, low) if high and low else None


def effect(key: str, factor: str, level: str, reference: str, settings: Mapping[Setting, Matched]) -> Effect:
    """The mean over settings within each seed first, then Student's t over seeds: seeds are what is drawn at random.

    In a single setting it is the difference of two variants, tested like any other. Where no seed is in both levels of
    one of several settings, the difference of the means is told without an interval.
    """
    names, cells = [others for _, others in settings], list(settings.values())
    seeds, used = block([{seed for seed in high if seed in low} for high, low in cells])
    if len(cells) == 1:
        used, (_, n, told) = [0], difference(*cells[0])
    elif seeds:
        both, n = [cells[i] for i in used], len(seeds)
        told = paired(*([fmean(cell[side][seed] for cell in both) for seed in seeds] for side in (0, 1)))
    else:
        used, n = list(range(len(cells))), 0
        told = Difference(fmean(fmean(high.values()) - fmean(low.values()) for high, low in cells), nan, nan)
    where = tuple(names[i] for i in used)
    return Effect(key, factor, level, reference, told.mean, told.half(), n, len(used), told.p, told.p, where=where)


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
