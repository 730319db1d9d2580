"""Runs of a variant by seed: those that share one are a single draw, as in the tables."""

from collections.abc import Iterable

from difflab.report.cells import key_of
from difflab.report.model import Run


def by_seed(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """By seed; a run without one is by itself."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(key_of(run), []).append(run)
    return found
