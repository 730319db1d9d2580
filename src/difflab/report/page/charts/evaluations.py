"""Evaluations of the runs of each variant as curves along one of their settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite, nan
from statistics import fmean
from typing import Any, NamedTuple, TypeGuard

from difflab.report.model import Report, Run, Variant
from difflab.statistics import interval

Line = Mapping[str, Any]  # of evaluations.jsonl
TARGET = "._target_"


class Point(NamedTuple):
    """A mean over runs, half of its error bar, what that is, and of how many runs."""

    x: float
    mean: float
    half: float
    what: str
    n: int


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
                curve = tuple(point(at, runs) for (own, at), runs in sorted(points.items()) if own == settings)
                if len(curve) > 1:
                    found.setdefault(metric.key, []).append(Curve(variant.name, settings, curve))
    return found


def values(
    variant: Variant, key: str, x: Callable[[Line], Any], parting: Sequence[str]
) -> dict[tuple[str, float], dict[str, tuple[float, float]]]:
    """By settings and x, by run, the value and its standard error; of evaluations that repeat the last one counts."""
    found: dict[tuple[str, float], dict[str, tuple[float, float]]] = {}
    for run, told in lines_of(variant.runs):
        at, value = x(told), told.get(key)
        if is_number(at) and is_number(value):
            own = flat(told.get("settings"))
            settings = " ".join(f"{field.removesuffix(TARGET)}={word(own.get(field))}" for field in parting)
            error = told.get(f"{key}_stderr", nan)
            found.setdefault((settings, float(at)), {})[run.name] = (float(value), error if is_number(error) else nan)
    return found


def lines_of(runs: Sequence[Run]) -> Iterator[tuple[Run, Line]]:
    return ((run, told) for run in runs for told in run.evaluations)


def point(x: float, runs: Mapping[str, tuple[float, float]]) -> Point:
    """The mean over runs, with its interval, or with the standard error of the only one."""
    each = [value for value, _ in runs.values()]
    if len(each) > 1:
        return Point(x, fmean(each), interval(each), "95% interval over seeds", len(each))
    return Point(x, each[0], next(iter(runs.values()))[1], "Monte-Carlo standard error", 1)


def varied(lines: Sequence[Line], along: tuple[str, ...]) -> list[str]:
    """As few settings as tell the evaluations of a variant apart, but for those along x; kinds before their fields."""
    each = [flat(told.get("settings")) for told in lines if "settings" in told]
    fields = dict.fromkeys(field for settings in each for field in settings if field not in along)
    kept: list[str] = []
    for field in sorted(fields, key=lambda name: not name.endswith(TARGET)):
        if len({word(settings[field]) for settings in each if field in settings}) > 1:
            without = {tuple(word(settings.get(name)) for name in kept) for settings in each}
            if len({tuple(word(settings.get(name)) for name in (*kept, field)) for settings in each}) > len(without):
                kept.append(field)
    return kept


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
