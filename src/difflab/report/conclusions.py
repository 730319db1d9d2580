"""What the figures say, in sentences: which choice is best in each of them, and what each factor does."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from difflab.report.cells import key_of
from difflab.report.comparable import apart, parts, separating
from difflab.report.factors import ABSENT
from difflab.report.model import Cell, Effect, Metric, Report, Variant
from difflab.report.words import called, count, one_line, p_is, ranged, shown
from difflab.runs.results import number

LEVEL = 0.05  # of the tests
LEVELS = 4  # of a factor in a sentence


def conclusions(report: Report) -> list[str]:
    """A sentence for each metric, for what each factor does to the first of them, and for runs that do not count."""
    told = [best(report, metric, *part) for metric in report.metrics for part in parts(report.variants, metric).items()]
    told += separate(report)
    first = report.metrics[:1]
    own = [effect for effect in report.effects for metric in first if effect.metric == metric.key]
    for factor, each in groupby(own, key=lambda effect: effect.factor):
        told.append(of_factor(first[0], list(each)))
        told += without_effect(report, first[0], factor)
    known = {effect.factor for effect in own}
    without = [factor for factor in report.factors for m in first if factor not in known and not apart(factor, m)]
    return [one_line(sentence) for sentence in (*told, *together(without), *missing(report))]


def best(report: Report, metric: Metric, where: str, variants: Sequence[Variant]) -> str:
    """The best of some variants in a figure, and how many others cannot be told from it."""
    all_cells = {variant.name: report.cells[metric.key][variant.name] for variant in variants}
    begin = f"{metric.title}, {where}:" if where else f"{metric.title}:"
    cells = {name: cell for name, cell in all_cells.items() if cell.n}
    if not cells:
        return f"{begin} no finished run has it."
    tops = [name for name, cell in cells.items() if not cell.against]
    top, others = cells[tops[0]], {name: cell for name, cell in cells.items() if cell.against}
    what = f"{ranged(top.mean, top.half)} (n = {top.n})"
    lost = "".join(f"; {line}" for variant in variants if variant.name in tops if (line := lost_of(report, variant)))
    without = len(all_cells) - len(cells)
    unknown = f"; {count(without, 'choice')} {'has' if without == 1 else 'have'} no figure" if without else ""
    names = " and ".join(called(report, name) for name in tops)
    if len(cells) == 1:
        who = "the only choice" if len(all_cells) == 1 else f"{names} alone"
        return f"{begin} {who} has {what}{lost}; there is nothing to compare it with{unknown}."
    if not others:
        return f"{begin} all {len(tops)} have the same mean, {what}{lost}{unknown}."
    better = "highest" if metric.higher else "lowest"
    start = f"{begin} {names} {'is' if len(tops) == 1 else 'are'} best ({better}): {what}{lost}"
    untold = sum(cell.untold for cell in others.values())
    if untold == len(others):
        return f"{start}; too few runs to tell whether that is more than chance{unknown}."
    ends = differ(sum(cell.like_best for cell in others.values()), len(others) - untold)
    few = f", too few runs to tell about {untold} more" if untold else ""
    return f"{start}; {ends}{few}{unknown}{''.join(reversals(report, others))}."


def differ(like: int, told: int) -> str:
    """How many others can be told from the best."""
    if not like:
        return "the other one differs from it" if told == 1 else f"all {told} others differ from it"
    if like < told:
        return f"{like} of {told} others cannot be told from it"
    return "the other one cannot be told from it" if told == 1 else f"none of the {told} others can be told from it"


def reversals(report: Report, cells: Mapping[str, Cell]) -> Iterator[str]:
    """Variants whose mean is worse than the best because of seeds that only one of the two has."""
    ahead = {name: cell for name, cell in cells.items() if cell.ahead > 0}
    for name, cell in list(ahead.items())[:LEVELS]:
        best = called(report, cell.against)
        yield f"; on the seeds both have, {called(report, name)} is better than {best} by {number(cell.ahead)}"
    if len(ahead) > LEVELS:
        yield f", and so are {len(ahead) - LEVELS} more"


def lost_of(report: Report, variant: Variant) -> str:
    """How many runs of a variant do not count, but for those whose seed another run has."""
    known = {key_of(run) for run in variant.runs}
    lost = [run for run in variant.lost if key_of(run) not in known]
    states = {run.state for run in lost}
    what = "failed" if states == {"failed"} else "did not end" if "failed" not in states else "failed or did not end"
    return f"{len(lost)} of its {count(len(variant.runs) + len(lost), 'run')} {what}" if lost else ""


def separate(report: Report) -> Iterator[str]:
    """That what is measured varies, and why nothing is compared across that."""
    of_metric = {metric.title: separating(report.variants, metric) for metric in report.metrics}
    for field in dict.fromkeys(field for fields in of_metric.values() for field in fields):
        titles = [title for title, fields in of_metric.items() if field in fields]
        what = "all figures" if len(titles) == len(of_metric) > 1 else " and ".join(titles)
        yield f"{field}: its levels are not compared, since {what} would be of different things."


def of_factor(metric: Metric, effects: Sequence[Effect]) -> str:
    """What the levels of one factor do to a figure."""
    tested = [effect for effect in effects if effect.p == effect.p]
    if not tested:
        return f"{effects[0].factor}: too few runs to tell its effect on {metric.title} from chance."
    told = [f"{does(metric, effect)}{numbers(effect)}" for effect in tested[:LEVELS]]
    if len(told) < len(effects):
        told.append(f"{count(len(effects) - len(told), 'more level')} in the table")
    return f"{effects[0].factor}: {'; '.join(told)}."


def without_effect(report: Report, metric: Metric, factor: str) -> Iterator[str]:
    """The levels of a factor that are compared with no other one, and why."""
    own = [effect for effect in report.effects if (effect.metric, effect.factor) == (metric.key, factor)]
    known = {level for effect in own for level in (effect.level, effect.reference)}
    there = [variant for variant in report.variants if report.cells[metric.key][variant.name].n]
    for level in report.factors[factor]:
        if level in (*known, ABSENT):
            continue
        name = f"{factor}={shown(level)}"
        with_it = [variant.levels for variant in there if variant.levels.get(factor) == level]
        rest = [variant.levels for variant in there if variant.levels.get(factor) != level]
        also = [
            other
            for other in report.factors
            if other != factor and all(a.get(other) != b.get(other) for a in with_it for b in rest)
        ]
        if not with_it:
            yield f"{name}: no effect can be told, since no finished run has {metric.title}."
        elif also:
            yield f"{name}: no effect can be told, it always differs in {' and '.join(also)} too."
        else:
            yield f"{name}: no effect can be told, since it differs from no other level in {factor} alone."


def together(factors: Sequence[str]) -> Iterator[str]:
    """That these factors never vary by themselves."""
    if factors:
        which = "it" if len(factors) == 1 else "one of them"
        yield f"{', '.join(factors)}: no effect can be told, since no two runs with the figure differ in {which} alone."


def does(metric: Metric, effect: Effect) -> str:
    """The direction and size of an effect, or that it cannot be told from none."""
    level, reference = shown(effect.level), shown(effect.reference)
    if effect.holm > LEVEL:
        what = ranged(effect.mean, effect.half)
        return f"{level} cannot be told from {reference} in {metric.title}: difference {what}"
    verb = "raises" if effect.mean > 0 else "lowers"
    return f"{level} {verb} {metric.title} by {ranged(abs(effect.mean), effect.half)} against {reference}"


def numbers(effect: Effect) -> str:
    """What an effect was computed from, and its p-value."""
    n = f"n = {count(effect.n, 'seed')}" if effect.n else "unpaired"
    where = count(effect.cells, "setting")
    if effect.cells < effect.of:
        more = ", ..." if effect.cells > LEVELS else ""
        where = f"in {effect.cells} of {effect.of} settings: {', '.join(effect.where[:LEVELS])}{more}"
    return f" ({n}, {where}), {p_is(effect.holm)} (Holm)"


def missing(report: Report) -> Iterator[str]:
    """How many runs count for nothing here."""
    lost = [run for run in report.runs if not run.done]
    if lost:
        states = sorted({run.state for run in lost})
        by_state = ", ".join(f"{sum(run.state == state for run in lost)} {state}" for state in states)
        verb = "does" if len(lost) == 1 else "do"
        yield f"{len(lost)} of {count(len(report.runs), 'run')} {verb} not count ({by_state})."
