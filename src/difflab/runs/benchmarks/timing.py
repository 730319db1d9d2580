"""Sides that are timed in turn, so that a machine that slows down slows them all."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from difflab.progress import Progress


def interleaved(
    sides: Mapping[str, Callable[[], Any]], repetitions: int, warmup: int = 1, label: str = "measuring"
) -> dict[str, list[float]]:
    """Seconds of each side: A B C A B C ..., the first `warmup` rounds not counted.

    Args:
        sides: what is timed, by name.
        repetitions: counted rounds.
        label: of the progress bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with Progress(label, (warmup + repetitions) * len(sides)) as progress:
        for round_ in range(warmup + repetitions):
            for name, side in sides.items():
                begun = time.perf_counter()
                side()
                if round_ >= warmup:
                    seconds[name].append(time.perf_counter() - begun)
                progress.advance(1, name)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each side."""
    return {name: median(times) for name, times in seconds.items()}
