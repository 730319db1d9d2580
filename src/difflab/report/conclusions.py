"""What the figures say, in sentences: which choice is best in each of them, and what each factor does."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from difflab.report.model import Effect, Metric, Report
from difflab.report.words import called, count, one_line, p_is, ranged, shown

LEVEL = 0.05  # of the tests
LEVELS = 4  # of a factor in a sentence


def conclusions(report: Report) -> list[str]:
    """A sentence for each metric, for what each factor does to the first of them, and for runs that do not count."""
    told = [best(report, metric) for metric in report.metrics]
    first = report.metrics[:1]
    own = [effect for effect in report.effects for metric in first if effect.metric == metric.key]
    told += [of_factor(first[0], list(each)) for _, each in groupby(own, key=lambda effect: effect.factor)]
    without = [factor for factor in report.factors if first and factor not in {effect.factor for effect in own}]
    return [one_line(sentence) for sentence in (*told, *together(without), *missing(report))]


def best(report: Report, metric: Metric) -> str:
    """The best variant in a figure, and how many others cannot be told from it."""
    cells = {name: cell for name, cell in report.cells[metric.key].items() if cell.n}
    if not cells:
        return f"{metric.title}: no finished run has it."
    tops = [name for name, cell in cells.items() if cell.best]
    top, others = cells[tops[0]], [cell for cell in cells.values() if not cell.best]
    what = f"{ranged(top.mean, top.half)} (n = {top.n})"
    names = " and ".join(called(report, name) for name in tops)
    if len(cells) == 1:
        return f"{metric.title}: {names} has {what}; there is nothing to compare it with."
    if not others:
        return f"{metric.title}: all {len(tops)} have the same mean, {what}."
    better = "highest" if metric.higher else "lowest"
    start = f"{metric.title}: {names} {'is' if len(tops) == 1 else 'are'} best ({better}): {what}"
    like, untold = sum(cell.like_best for cell in others), sum(cell.p != cell.p for cell in others)
    if untold == len(others):
        return f"{start}; too few runs to tell whether that is more than chance."
    told = len(others) - untold
    all_differ = "the other one differs" if told == 1 else f"all {told} others differ"
    ends = f"{like} of {count(told, 'other')} cannot be told from it" if like else f"{all_differ} from it"
    return f"{start}; {ends}{f', too few runs to tell about {untold} more' if untold else ''}."


def of_factor(metric: Metric, effects: Sequence[Effect]) -> str:
    """What the levels of one factor do to a figure."""
    tested = [effect for effect in effects if effect.p == effect.p]
    if not tested:
        return f"{effects[0].factor}: too few runs to tell its effect on {metric.title} from chance."
    told = [f"{does(metric, effect)}{numbers(effect)}" for effect in tested[:LEVELS]]
    if len(told) < len(effects):
        told.append(f"{count(len(effects) - len(told), 'more level')} in the table")
    return f"{effects[0].factor}: {'; '.join(told)}."


def together(factors: Sequence[str]) -> Iterator[str]:
    """That these factors never vary by themselves."""
    if factors:
        which = "it" if len(factors) == 1 else "one of them"
        yield f"{', '.join(factors)}: no effect can be told, since no two runs with the figure differ in {which} alone."


def does(metric: Metric, effect: Effect) -> str:
    """The direction and size of an effect, or that it cannot be told from none."""
    level, reference = shown(effect.level), shown(effect.reference)
    if effect.holm > LEVEL:
        return f"{level} cannot be told from {reference} in {metric.title}: {ranged(effect.mean, effect.half)}"
    verb = "raises" if effect.mean > 0 else "lowers"
    return f"{level} {verb} {metric.title} by {ranged(abs(effect.mean), effect.half)} against {reference}"


def numbers(effect: Effect) -> str:
    """What an effect was computed from, and its p-value."""
    return f" (n = {count(effect.n, 'seed')}, {count(effect.cells, 'setting')}), {p_is(effect.holm)} (Holm)"


def missing(report: Report) -> Iterator[str]:
    """How many runs count for nothing here."""
    lost = [run for run in report.runs if not run.done]
    if lost:
        states = sorted({run.state for run in lost})
        by_state = ", ".join(f"{sum(run.state == state for run in lost)} {state}" for state in states)
        yield f"{len(lost)} of {count(len(report.runs), 'run')} do not count ({by_state})."
