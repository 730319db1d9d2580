"""Which figures variants are compared by, what they are called, and which of them are better when they are greater."""

from collections.abc import Sequence
from difflib import get_close_matches
from math import isfinite, nan
from statistics import fmean

from difflab.errors import ConfigError
from difflab.report.model import Metric, Run
from difflab.runs.comparison import MAIN, P_VALUE, Point, main_figures, settings
from difflab.runs.results import rows

HIGHER = (
    "precision",
    "recall",
    "is_",
    "accuracy",
    "asked_class",
    "images_per_second",
    "p_value",
)  # parts of their names
# Where no run has figures of the test: what every run has.
ELSE = ("val/bits_per_dim", "val/loss", "train/loss")
# Main figures that are no distance to the data: samples of a higher density than real ones are not better.
UNORDERED = ("nll_of_samples",)
# What a run has cost: told, not tested.
COSTS = ("model/parameters", "seconds/train", "seconds/evaluate", "train/images_per_second", "train/memory_gb")


def chosen(runs: Sequence[Run], typed: Sequence[str] = (), higher: Sequence[str] = ()) -> tuple[Metric, ...]:
    """The figures that were typed, in that order; else the main ones that any finished run has.

    The figure that the runs' sweep was to be judged by (`sweep.objective`) comes first.

    Args:
        runs: all of them.
        typed: keys of metrics.json.
        higher: keys of which more is better, beside those that are known to be so.

    Raises:
        ConfigError: for a key that no run has; not before the first of them is done.
    """
    done = [run for run in runs if run.done]
    known = list(dict.fromkeys(key for run in done for key in run.figures))
    for field, names in (("figures", typed), ("higher", higher)):
        for name in names:
            if known and name not in known:
                near = ", ".join(get_close_matches(name, known, n=5, cutoff=0.0))
                raise ConfigError(f"{field}: {name} is in none of the runs; allowed are those there, as {near}")
    objective, maximised = objectives(done)
    keys = list(dict.fromkeys(typed)) or usual(done, [key for key in objective if key in known])
    more = {*higher, *maximised}
    keys = [key for key in keys if key in known]
    titles = {key: title(key, known) for key in keys}
    return tuple(
        Metric(
            key,
            titles[key] if list(titles.values()).count(titles[key]) == 1 else key,
            key in more or is_higher(key),
            floor(key, done),
        )
        for key in keys
    )


def usual(done: Sequence[Run], first: Sequence[str]) -> list[str]:
    """Bits per dimension or nats, and distances; where there are none, a loss."""
    ordered = [
        key
        for key in main_figures([Point(run.path, {}, run.figures) for run in done])
        if not key.endswith((P_VALUE, *UNORDERED))
    ]
    rank = {key: next(i for i, begin in enumerate(MAIN) if name(key).startswith(begin)) for key in ordered}
    ordered = sorted(ordered, key=rank.__getitem__)
    rest = [key for key in ELSE if any(key in run.figures for run in done)][:1]
    return list(dict.fromkeys((*first, *ordered))) or rest


def objectives(runs: Sequence[Run]) -> tuple[list[str], set[str]]:
    """What the command lines of the runs name as `sweep.objective`, and which of these a search was to maximise."""
    said = [settings(run.typed) for run in runs]
    objective = [one["sweep.objective"] for one in said if "sweep.objective" in one]
    directed = [one for one in said if one.get("sweep.direction") == "maximize"]
    return list(dict.fromkeys(objective)), {one.get("sweep.objective", "test/bits_per_dim") for one in directed}


def name(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def is_higher(key: str) -> bool:
    """Whether more of a figure is better, by its name."""
    return name(key) == "is" or any(
        name(key).startswith(part) if part.endswith("_") else part in name(key) for part in HIGHER
    )


def title(key: str, known: Sequence[str]) -> str:
    """What the table at the end of a run calls a figure; the key itself where it has no other name."""
    section = key.rpartition("/")[0]
    beside = {other: nan for other in known if other.rpartition("/")[0] == section}
    words = next((what.strip() for what, _, of in rows(beside) if of == key), None)
    return key if words is None else words if section != "val" else f"{words} (validation)"


def floor(key: str, done: Sequence[Run]) -> float:
    """What real data has, where it was computed from as many as the samples are; nan elsewhere.

    It is no single number, and nan, where runs differ in it, as those of several data sets or classifiers do.
    """
    found = [
        run.figures[f"{key}_floor"]
        for run in done
        if isfinite(run.figures.get(f"{key}_floor", nan)) and f"{key}_at_floor" not in run.figures
    ]
    return fmean(found) if len({f"{value:.4g}" for value in found}) == 1 else nan
