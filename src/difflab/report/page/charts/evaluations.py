"""Evaluations of the runs of each variant as curves along one of their settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite, nan
from statistics import fmean
from typing import Any, NamedTuple, TypeGuard

from difflab.report.cells import key_of
from difflab.report.model import Report, Run, Variant
from difflab.statistics import interval

Line = Mapping[str, Any]  # of evaluations.jsonl
TARGET = "._target_"
LENGTH = "ema.length"
ASKED = tuple(f"metrics.{field}" for field in ("likelihood", "images", "pictures", "every", "budget"))


class Value(NamedTuple):
    """Of an evaluation, with its Monte-Carlo standard error; nan where that is unknown."""

    mean: float
    error: float


class Point(NamedTuple):
    """A mean over seeds, and half its 95% interval; nan at n = 1, where the Monte-Carlo standard error may be known."""

    x: float
    mean: float
    half: float
    error: float
    seeds: tuple[str, ...]

    @property
    def n(self) -> int:
        return len(self.seeds)


class Curve(NamedTuple):
    """Points of a variant that share all settings but x."""

    variant: str
    settings: str
    points: tuple[Point, ...]


def gathered(report: Report, x: Callable[[Line], Any], along: tuple[str, ...]) -> dict[str, list[Curve]]:
    """By metric, the curves that have at least two points.

    Args:
        x: of a line of evaluations.jsonl; what is no number leaves the line out.
        along: settings that move with x, and so do not part curves.
    """
    found: dict[str, list[Curve]] = {}
    for variant in report.variants:
        lines = [told for _, told in lines_of(variant.runs)]
        parting = varied(lines, along)
        for metric in report.metrics:
            points = values(variant, metric.key, x, parting)
            for settings in dict.fromkeys(settings for settings, _ in points):
                curve = tuple(point(at, each) for (own, at), each in sorted(points.items()) if own == settings)
                if len(curve) > 1:
                    found.setdefault(metric.key, []).append(Curve(variant.name, settings, curve))
    return found


def values(
    variant: Variant, key: str, x: Callable[[Line], Any], parting: Sequence[str]
) -> dict[tuple[str, float], dict[str, Value]]:
    """By settings and x, by seed, the mean of its runs; of evaluations of a run that repeat the last one counts."""
    found: dict[tuple[str, float], dict[str, dict[str, Value]]] = {}
    for run, told in lines_of(variant.runs):
        at, value = x(told), told.get(key)
        if is_number(at) and is_number(value):
            own = settings_of(told)
            settings = " ".join(f"{field.removesuffix(TARGET)}={word(own.get(field))}" for field in parting)
            error = told.get(f"{key}_stderr", nan)
            seeds = found.setdefault((settings, float(at)), {})
            own_value = Value(float(value), float(error) if is_number(error) else nan)
            seeds.setdefault(key_of(run), {})[run.name] = own_value
    return {at: {seed: mean_of(list(runs.values())) for seed, runs in seeds.items()} for at, seeds in found.items()}


def mean_of(runs: Sequence[Value]) -> Value:
    """Over runs of one seed."""
    return Value(fmean(value.mean for value in runs), fmean(value.error for value in runs))


def lines_of(runs: Sequence[Run]) -> Iterator[tuple[Run, Line]]:
    return ((run, told) for run in runs for told in run.evaluations)


def point(x: float, seeds: Mapping[str, Value]) -> Point:
    """The mean over seeds with its interval, or the only one with its standard error."""
    each = [value.mean for value in seeds.values()]
    error = next(iter(seeds.values())).error if len(each) == 1 else nan
    return Point(x, fmean(each), interval(each), error, tuple(sorted(seeds)))


def varied(lines: Sequence[Line], along: tuple[str, ...]) -> list[str]:
    """As few settings as tell the evaluations of a variant apart, but for those along x; kinds before their fields."""
    each = [settings_of(told) for told in lines if "settings" in told]
    fields = dict.fromkeys(field for settings in each for field in settings if field not in along)
    kept: list[str] = []
    for field in sorted(fields, key=lambda name: not name.endswith(TARGET)):
        if len({word(settings[field]) for settings in each if field in settings}) > 1:
            without = {tuple(word(settings.get(name)) for name in kept) for settings in each}
            if len({tuple(word(settings.get(name)) for name in (*kept, field)) for settings in each}) > len(without):
                kept.append(field)
    return kept


def settings_of(told: Line) -> dict[str, Any]:
    """How an evaluation was made, without what else was asked for in the same call; the run's own was of the average
    that an evaluation takes where it says no length."""
    own = flat(told.get("settings"))
    return {
        field: value
        for field, value in own.items()
        if field not in ASKED and not (field.startswith("ema.") and (field != LENGTH or value is None))
    }


def flat(settings: Any, under: str = "") -> dict[str, Any]:
    """By dotted field."""
    if not isinstance(settings, Mapping):
        return {under: settings} if under else {}
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{under}.{name}" if under else str(name))
    return found


def word(value: Any) -> str:
    """A setting as text; a target by its last part."""
    return "–" if value is None else str(value).rpartition(".")[2] if str(value).startswith("difflab.") else str(value)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
