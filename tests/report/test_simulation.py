"""A thousand simulated sweeps: intervals cover what they claim, and what does not differ is not called different."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from difflab.report.compare import compare
from difflab.report.model import Report

sys.path.insert(0, str(Path(__file__).parent))
from grids import BITS, grid

pytestmark = pytest.mark.slow

SWEEPS = 1000
FACTORS = {"schedule": ("linear", "cosine"), "loss": ("simple", "vlb", "score")}
VARIANTS = list(product(*FACTORS.values()))
TRUE = {levels: 3 - 0.05 * levels.count("cosine") + 0.03 * levels.count("vlb") for levels in VARIANTS}
OF_SEED, OF_RUN = 0.02, 0.01  # standard deviations


def sweeps(seed: int, seeds: int, true: dict[tuple[str, ...], float]) -> Iterator[Report]:
    """Reports of sweeps with these expectations: luck that all runs of a seed share, and luck of each run."""
    random = np.random.default_rng(seed)
    for _ in range(SWEEPS):
        shared = OF_SEED * random.standard_normal(seeds)
        own = {levels: OF_RUN * random.standard_normal(seeds) for levels in VARIANTS}
        runs = grid(FACTORS, tuple(range(seeds)), lambda v, s: float(true[v] + shared[s] + own[v][s]))  # noqa: B023
        yield compare(runs, (), ("made",))


def within(mean: float, half: float, truth: float) -> bool:
    return abs(mean - truth) <= half


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_and_large_differences_are_found(seeds):
    covered: dict[str, list[bool]] = {"cells": [], "pairs": [], "effects": []}
    found = []
    true = {f"schedule={a} loss={b}": TRUE[a, b] for a, b in VARIANTS}
    of_level = {
        level: np.mean([TRUE[v] for v in VARIANTS if level in v]) for each in FACTORS.values() for level in each
    }
    for report in sweeps(seeds, seeds, TRUE):
        covered["cells"] += [within(c.mean, c.half, true[name]) for name, c in report.cells[BITS].items()]
        covered["pairs"] += [within(p.mean, p.half, true[p.a] - true[p.b]) for p in report.pairs]
        covered["effects"] += [
            within(e.mean, e.half, of_level[e.level] - of_level[e.reference]) for e in report.effects
        ]
        (schedule,) = (effect for effect in report.effects if effect.factor == "schedule")
        found.append(schedule.holm <= 0.05)
    assert [len(each) // SWEEPS for each in covered.values()] == [6, 15, 3]
    for what, each in covered.items():
        assert 0.93 <= np.mean(each) <= 0.97, what
    assert np.mean(found) > (0.7 if seeds == 3 else 0.99)


def test_reruns_of_a_seed_do_not_narrow_intervals():
    """Two runs of each seed that differ by the rounding of machines are three seeds, not six."""
    random = np.random.default_rng(7)
    covered, differ = [], []
    for _ in range(SWEEPS):
        luck = {loss: OF_SEED * random.standard_normal(3) for loss in "ab"}
        rounding = {loss: 1e-4 * random.standard_normal((2, 3)) for loss in "ab"}
        runs = [
            replace(run, name=f"{run.name} {i}")
            for i in range(2)
            for run in grid({"loss": ("a", "b")}, (0, 1, 2), lambda v, s: 3 + luck[v[0]][s] + rounding[v[0]][i, s])  # noqa: B023
        ]
        report = compare(runs, (), ("made",))
        covered += [within(cell.mean, cell.half, 3) for cell in report.cells[BITS].values()]
        differ.append(report.pairs[0].holm <= 0.05)
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0 < np.mean(differ) <= 0.05 + 2 * (0.05 * 0.95 / SWEEPS) ** 0.5


@pytest.mark.parametrize("seeds", [3, 5])
def test_where_nothing_differs_hardly_anything_is_called_different(seeds):
    pairs, effects, best = [], [], []
    for report in sweeps(100 + seeds, seeds, dict.fromkeys(VARIANTS, 3.0)):
        pairs.append(any(pair.holm <= 0.05 for pair in report.pairs))
        effects.append(any(effect.holm <= 0.05 for effect in report.effects))
        best.append(any(cell.p <= 0.05 for cell in report.cells[BITS].values()))
    assert 0 < np.mean(pairs) <= 0.05
    assert np.mean(best) <= np.mean(pairs)
    assert 0 < np.mean(effects) <= 0.05 + 2 * (0.05 * 0.95 / SWEEPS) ** 0.5  # its level, by a thousand draws
