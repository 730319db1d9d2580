"""What sets the runs of a report apart, found from their settings, and the groups of runs that differ in their seed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from difflab.report.model import Run, Variant
from difflab.report.names import unique
from difflab.runs.resume import key_of

# What a run is called, where it lies and who watches it: none of these changes a figure.
UNCOUNTED = ("name", "outputs", "tags", "notes", "cache", "targets", "resume", "replay", "data.root")
UNCOUNTED_SECTIONS = ("logger", "sweep", "hydra", "study", "checkpoints")

# On what it was trained: noise, times and batches are the same for any number of processes, and another machine changes
# figures by rounding. Runs of one choice that a cluster has spread over what was free belong together.
HARDWARE = ("trainer", "data.workers")
HARDWARE_SECTIONS = tuple(f"trainer.{name}" for name in ("accelerator", "devices", "num_nodes", "strategy"))

# Options that stand for others: where nothing but their name differs, the runs are the same choice.
SHORTHANDS = ("experiment", "ablation", "debug")

OWN = "the run's"  # the level of a seed that is the run's own
ABSENT = "—"  # the level of a run that has no such field, as that of a loss it does not use
LONGEST = 60  # characters of a level in the name of a variant

Column = tuple[str, ...]  # a field's levels, run by run


def variants(runs: Sequence[Run]) -> tuple[dict[str, tuple[str, ...]], tuple[Variant, ...]]:
    """The fields that vary with their levels, and the runs in groups that agree in all of them.

    A field that was typed and varies is a factor; then a group, then a value of the config whose difference these do
    not tell: the times that a loss recommends say nothing that the loss does not. Runs that are not done stand in their
    groups as lost: who failed must not vanish from the comparison. Where none is done there is none.
    """
    known = [run for run in runs if run.settings]
    if not any(run.done for run in known):
        return {}, ()
    columns = factors(completed(known))
    groups: dict[Column, list[Run]] = {}
    for row, run in zip(rows(columns.values(), len(known)), known, strict=True):
        groups.setdefault(row, []).append(run)
    names = unique(called(dict(zip(columns, row, strict=True))) for row in groups)
    found = []
    for name, (row, members) in zip(names, groups.items(), strict=True):
        done, lost = (tuple(run for run in members if run.done == good) for good in (True, False))
        found.append(Variant(name, dict(zip(columns, row, strict=True)), done, lost))
    return {field: tuple(dict.fromkeys(column)) for field, column in columns.items()}, tuple(found)


def completed(runs: Sequence[Run]) -> list[Run]:
    """The runs; one that never had a config, as a job that has not begun, with what all others have in common."""
    bare = [run.settings.keys() <= {key_of(item) for item in run.typed} for run in runs]
    whole = [set(run.settings.items()) for run, without in zip(runs, bare, strict=True) if not without]
    common = dict(set.intersection(*whole)) if whole else {}
    return [
        replace(run, settings={**common, **run.settings}) if without else run
        for run, without in zip(runs, bare, strict=True)
    ]


def factors(runs: Sequence[Run]) -> dict[str, Column]:
    """The fields that vary, in the order in which they are taken, with their levels."""
    found: dict[str, Column] = {}
    known = typed(runs)
    for field in known:
        column = levels(runs, field)
        if field in SHORTHANDS and not changes(runs, column):
            continue
        # What somebody typed stays, though another field tells it too: both were chosen. But for a value that only some
        # options of a group have, such as the power of one loss.
        of_some = field.partition(".")[0] in found and ABSENT in column
        if len(set(column)) > 1 and not (of_some and follows(column, found.values())):
            found[field] = column
    rest = {field for run in runs for field in run.settings if counts(field)} - set(known)
    for field in sorted(rest, key=lambda field: ("." in field, field)):  # groups first
        column = levels(runs, field)
        # A field that some lack does not vary by that: runs of earlier versions have fewer.
        varies = len(set(column) - {ABSENT}) > 1
        if varies and not follows(column, found.values(), {ABSENT}):
            found[field] = column
    return found


def typed(runs: Iterable[Run]) -> list[str]:
    """The fields that were typed for some run, in that order, each after those that it is part of."""
    said = dict.fromkeys(key_of(override) for run in runs for override in run.typed)
    ordered: dict[str, None] = {}
    for field in said:
        parts = field.split(".")
        above = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        ordered |= dict.fromkeys(name for name in above if name in said and counts(name))
    return list(ordered)


def counts(field: str) -> bool:
    """Whether runs that differ in this field are different choices."""
    sections = (*UNCOUNTED_SECTIONS, *HARDWARE_SECTIONS)
    inside = any(field == name or field.startswith((f"{name}.", f"{name}/")) for name in sections)
    return field != "seed" and field not in (*UNCOUNTED, *HARDWARE) and not inside


def levels(runs: Sequence[Run], field: str) -> Column:
    """A field's levels, run by run; numbers that are equal are one level, however they were written."""
    texts = [run.settings.get(field) for run in runs]
    if field.endswith(".seed"):
        own = is_own(runs, field)
        texts = [OWN if mine else text for text, mine in zip(texts, own, strict=True)]
    shown: dict[str, str] = {}
    for text in sorted({text for text in texts if text is not None}, key=lambda text: (len(text), text)):
        shown.setdefault(value(text), text)
    return tuple(ABSENT if text is None else shown[value(text)] for text in texts)


def value(text: str) -> str:
    """The same for all ways to write a number."""
    try:
        return repr(float(text))
    except ValueError:
        return f"'{text}"  # no number is written so


def follows(column: Column, others: Collection[Column], apart: Collection[str] = ()) -> bool:
    """Whether the other columns tell this one; where it is one of `apart`, nothing needs to be told."""
    told: dict[Column, str] = {}
    pairs = zip(rows(others, len(column)), column, strict=True)
    return all(told.setdefault(row, level) == level for row, level in pairs if level not in apart)


def rows(columns: Collection[Column], n: int) -> list[Column]:
    """The levels of each of n runs."""
    return list(zip(*columns, strict=True)) if columns else [()] * n


def is_own(runs: Sequence[Run], field: str) -> list[bool]:
    """For each run, whether this seed is the run's own: said so, or unsaid and equal in all runs that do not say it."""
    said = [dict(item.split("=", 1) for item in run.typed if "=" in item).get(field) for run in runs]
    same = [run.settings.get(field) in (None, str(run.seed)) for run in runs]
    unsaid = all(equal for equal, text in zip(same, said, strict=True) if text is None)
    return [equal and (unsaid if text is None else text == "${seed}") for equal, text in zip(same, said, strict=True)]


def changes(runs: Sequence[Run], column: Column) -> bool:
    """Whether a shorthand tells something in which runs differ, and that nothing typed beside it tells."""
    fields = {key for run in runs for key in run.settings if counts(key) and key not in SHORTHANDS}
    others = [levels(runs, name) for name in typed(runs) if name not in SHORTHANDS]
    leaves = (levels(runs, key) for key in fields)
    return any(not follows(leaf, others, {ABSENT}) and follows(leaf, [*others, column], {ABSENT}) for leaf in leaves)


def called(levels: dict[str, str]) -> str:
    """A variant's name: what sets it apart, or the level alone where that is one field's."""
    short = {field: in_short(level) for field, level in levels.items()}
    if not levels:
        return "as it is"
    if len(levels) == 1:
        ((field, level),) = short.items()
        return f"without {field}" if level == ABSENT else level
    return " ".join(f"{field}={level}" for field, level in short.items() if level != ABSENT) or "as it is"


def in_short(level: str) -> str:
    """A level in one line of bearable length."""
    line = " ".join(level.split()) or "''"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
