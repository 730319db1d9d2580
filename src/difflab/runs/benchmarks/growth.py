"""How time grows with a size: the exponent of a power law through what was measured."""

from collections.abc import Callable, Mapping
from math import log
from statistics import linear_regression
from typing import Any

from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved, medians

MOST = 1.1  # linear, and a tenth for noise


def exponent(seconds: Mapping[int, float]) -> float:
    """The slope of log time over log size, by least squares."""
    return linear_regression([log(size) for size in seconds], [log(time) for time in seconds.values()]).slope


def row(name: str, seconds: Mapping[int, float], what: str) -> Row:
    """A row of times by size."""
    found = exponent(seconds)
    times = ", ".join(f"{time:.3g} s for {size:,}" for size, time in seconds.items())
    how = f"exponent of the time of {what}: {times}"
    return Row(f"scaling, {name}", found, None, None, "1", f"at most {MOST}", found <= MOST, how)


def growth(name: str, sides: Mapping[int, Callable[[], Any]], repetitions: int, what: str) -> Row:
    """A row of what is to be timed by size: the sizes in turn, medians, after a round that does not count."""
    seconds = medians(interleaved({f"{size:,}": side for size, side in sides.items()}, repetitions, label=name))
    counted = f"{what}; sizes in turn, medians of {repetitions} after one that does not count"
    return row(name, dict(zip(sides, seconds.values(), strict=True)), counted)
