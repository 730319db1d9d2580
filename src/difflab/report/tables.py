"""The tables of a report, before they are text of one kind or another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import fmean
from typing import TypeVar

from difflab.report.made import made
from difflab.report.metrics import COSTS, title
from difflab.report.model import Cell, Effect, Metric, Pair, Report, Variant
from difflab.report.words import called, count, estimate, p_value, what_p_is
from difflab.runs.results import number

T = TypeVar("T", Pair, Effect)
MOST = 100  # rows of a table of tests
LIKE, UNTOLD = "*", "?"  # marks of cells that cannot be told from the best, and of those that nothing tells about


@dataclass(frozen=True)
class Entry:
    """What is in one place of a table: its text, whether it is the best of its column, and its mark."""

    text: str
    best: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """Headings, rows, and lines that say what is in them."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str | Entry]], *notes: str) -> Table:
    """Texts as entries."""
    entries = [tuple(e if isinstance(e, Entry) else Entry(e) for e in row) for row in rows]
    return Table(title, tuple(headings), tuple(entries), notes)


def all_tables(report: Report) -> list[Table]:
    """Those of them that hold something, in the order of reading."""
    made = (figures, effects, differences, costs, lost, problems, provenance)
    return [each for each in (make(report) for make in made) if each.rows]


def of_variant(report: Report, variant: Variant) -> list[str]:
    """The levels of a variant, or its name where nothing varies."""
    return [variant.levels.get(factor, "") for factor in report.factors] or [variant.name]


def entry(cell: Cell) -> Entry:
    """A cell in the table of figures."""
    mark = LIKE if cell.like_best else UNTOLD if cell.untold else ""
    return Entry(estimate(cell.mean, cell.half, cell.n, cell.of), cell.best, mark)


def figures(report: Report) -> Table:
    """Factors against metrics."""
    rows: list[list[str | Entry]] = [
        [*of_variant(report, variant), *(entry(report.cells[m.key][variant.name]) for m in report.metrics)]
        for variant in report.variants
    ]
    if rows and any(isfinite(metric.floor) for metric in report.metrics):
        floors = [number(metric.floor) if isfinite(metric.floor) else "" for metric in report.metrics]
        rows.append(["real data", *[""] * (max(1, len(report.factors)) - 1), *floors])
    headings = [*(report.factors or ["variant"]), *map(heading, report.metrics)]
    return table("Figures", headings, rows, *legend(report))


def heading(metric: Metric) -> str:
    """What a column holds, and which way is better."""
    return f"{metric.title} {'↑' if metric.higher else '↓'}"


def legend(report: Report) -> list[str]:
    """What the marks mean, of those that are there, with the names of the tests."""
    cells = [cell for each in report.cells.values() for cell in each.values() if cell.n]
    notes = ["Mean over seeds ± half the width of its 95% t-interval (n seeds); one seed has no interval."]
    if any(cell.n < cell.of for each in report.cells.values() for cell in each.values()):
        notes.append("n = 1 of 3: the runs of the other seeds have failed or not ended, or lack the figure.")
    notes += ["Bold: the best mean of its column; ↓ lower is better, ↑ higher is better."]
    if any(cell.like_best for cell in cells):
        tests = " or ".join(sorted({pair.test for pair in report.pairs}, reverse=True))
        few = " on two shared seeds or more" if least(report) == 2 else ""
        notes.append(f"{LIKE} not told from the best at 5%: {tests}{few}; {what_p_is(report)}.")
    if any(cell.ahead > 0 for cell in cells):
        notes.append(f"{LIKE} also where it is better than the best on the seeds that both have.")
    if any(cell.untold for cell in cells):
        notes.append(f"{UNTOLD} nothing tells whether it differs from the best: fewer than two seeds of one of them.")
    return notes


def least(report: Report) -> int:
    """The least number of shared seeds that a paired test had; 0 without any."""
    return min((pair.n for pair in report.pairs if pair.n), default=0)


def effects(report: Report) -> Table:
    """What each level of each factor does."""
    titles = {metric.key: metric.title for metric in report.metrics}
    rows = [
        [
            e.factor,
            e.level,
            e.reference,
            titles[e.metric],
            interval_of(e.mean, e.half, e.n),
            *(f"{e.cells} of {e.of}" if e.cells < e.of else str(e.cells), p_value(e.p), p_value(e.holm)),
        ]
        for e in fewest(report.effects)
    ]
    headings = ("factor", "level", "against", "figure", "difference", "settings", "p", "p (Holm)")
    return table(
        "Main effects",
        headings,
        rows,
        "Level minus reference, averaged over the settings of the other factors that both have, within each seed "
        "first; ± half the width of the 95% t-interval over n seeds (not adjusted; unpaired: of independent runs); p "
        "of Student's or Welch's t, Holm's correction over all effects of a figure.",
        *cut(len(report.effects)),
    )


def differences(report: Report) -> Table:
    """Every pair of variants in the first metric."""
    first = report.metrics[:1]
    own = [pair for pair in report.pairs for metric in first if pair.metric == metric.key]
    rows = [
        [
            called(report, pair.a),
            called(report, pair.b),
            interval_of(pair.mean, pair.half, pair.n),
            pair.test,
            p_value(pair.p),
            p_value(pair.holm),
        ]
        for pair in fewest(own)
    ]
    return table(
        f"Differences in {first[0].title}" if first else "Differences",
        ("a", "b", "a − b", "test", "p", "p (Holm)"),
        rows,
        "± half the width of the 95% t-interval (not adjusted); n pairs that share a seed; Welch's t where few of "
        "many are shared; Holm's correction over all pairs of this figure that can be compared.",
        *cut(len(own)),
    )


def fewest(told: Sequence[T]) -> list[T]:
    """All of them, or, of many, those with the least p."""
    return list(told) if len(told) <= MOST else sorted(told, key=lambda each: (each.p != each.p, each.p))[:MOST]


def cut(n: int) -> list[str]:
    """That a table of so many does not have all."""
    return [f"These are the {MOST} of {n:,} with the least p; report.json has all."] if n > MOST else []


def interval_of(mean: float, half: float, n: int) -> str:
    """A difference, of n pairs or of independent runs."""
    return estimate(mean, half, n) if n else estimate(mean, half, 2).replace("(n = 2)", "(unpaired)")


def costs(report: Report) -> Table:
    """What a run of each variant has cost, on average."""
    known = [key for run in report.runs for key in run.figures]
    keys = [key for key in COSTS if key in known]
    rows = []
    for variant in (variant for variant in report.variants if variant.runs):
        values = [[v for run in variant.runs if isfinite(v := run.figures.get(key, nan))] for key in keys]
        means = [number(fmean(each)) if each else "" for each in values]
        rows.append([*of_variant(report, variant), *means, str(len(variant.runs))])
    headings = [*(report.factors or ["variant"]), *(title(key, keys) for key in keys), "runs"]
    return table("Cost", headings, rows if keys else [], "Means over the runs; not tested.")


def lost(report: Report) -> Table:
    """Runs that do not count, and why."""
    rows = [
        [run.name, run.state, run.reason or ("" if run.state != "done" else "no figures"), " ".join(run.typed)]
        for run in report.runs
        if not run.done
    ]
    return table("Runs that do not count", ("run", "state", "reason", "typed"), rows)


def problems(report: Report) -> Table:
    """What could not be used."""
    return table("Problems", ("what",), [[line] for line in report.problems])


def provenance(report: Report) -> Table:
    """How each figure was made, and by what."""
    rows = [[what, how, count(n, "run")] for what, how, n in made(report)]
    return table("How this was made", ("what", "how", "of"), rows)
