"""Runs as they would be read, made in memory: figures by formula, no folders."""

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from difflab.report.model import Run

BITS, DISTANCE = "test/bits_per_dim", "test/fd_classifier"


def made_run(name: str, levels: Mapping[str, str], seed: int | None, figures: Mapping[str, float], **more: Any) -> Run:
    """A run with these settings; done, unless something else is said."""
    typed = (*(f"{field}={level}" for field, level in levels.items()), f"seed={seed}")
    settings = {"name": "test", **levels, "seed": str(seed)}
    state = {"state": "done", "typed": typed, "settings": settings} | more
    return Run(path=Path("runs") / name, name=name, seed=seed, figures=figures, **state)


def grid(
    factors: Mapping[str, tuple[str, ...]],
    seeds: tuple[int, ...],
    bits: Callable[[tuple[str, ...], int], float],
    key: str = BITS,
) -> list[Run]:
    """A run for each combination of levels with each seed, whose figure is a function of both."""
    each = enumerate(product(product(*factors.values()), seeds))
    return [
        made_run(str(i), dict(zip(factors, levels, strict=True)), seed, {key: bits(levels, seed)})
        for i, (levels, seed) in each
    ]
