"""Main effects against a linear model by statsmodels, and by hand where settings or seeds are missing."""

import random
import sys
from dataclasses import replace
from math import isnan
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests

from difflab.report.compare import compare
from difflab.report.conclusions import conclusions
from difflab.report.model import Effect, Run

sys.path.insert(0, str(Path(__file__).parent))
from grids import BITS, grid

pytestmark = pytest.mark.slow  # statsmodels

FACTORS = {"schedule": ("linear", "cosine"), "loss": ("simple", "vlb", "score")}


def luck(levels: tuple[str, ...], seed: int) -> float:
    cosine = -0.1 if "cosine" in levels else 0.0
    return 3 + cosine + random.Random(seed).gauss(0, 0.02) + random.Random(f"{levels} {seed}").gauss(0, 0.01)


def effects(runs: list[Run]) -> dict[str, Effect]:
    return {effect.level: effect for effect in compare(runs, (), ("made",)).effects}


def test_on_a_balanced_grid_they_are_the_coefficients_of_least_squares():
    runs = grid(FACTORS, (0, 1, 2), luck)
    table = pd.DataFrame([{**run.settings, "seed": run.seed, "bits": run.figures[BITS]} for run in runs])
    formula = "bits ~ C(schedule, Treatment('linear')) + C(loss, Treatment('simple')) + C(seed)"
    theirs = ols(formula, table).fit().params
    found = effects(runs)
    assert found["cosine"].mean == pytest.approx(theirs["C(schedule, Treatment('linear'))[T.cosine]"], rel=1e-9)
    assert found["vlb"].mean == pytest.approx(theirs["C(loss, Treatment('simple'))[T.vlb]"], rel=1e-9)
    assert found["score"].mean == pytest.approx(theirs["C(loss, Treatment('simple'))[T.score]"], rel=1e-9)
    assert [(e.n, e.cells) for e in found.values()] == [(3, 3), (3, 2), (3, 2)]


def test_their_tests_are_those_of_means_by_seed():
    runs = grid(FACTORS, (0, 1, 2), luck)
    found = effects(runs)
    table = pd.DataFrame([{**run.settings, "seed": run.seed, "bits": run.figures[BITS]} for run in runs])
    p = []
    for factor, level, reference in (
        ("schedule", "cosine", "linear"),
        ("loss", "vlb", "simple"),
        ("loss", "score", "simple"),
    ):
        means = table.groupby([factor, "seed"])["bits"].mean()
        theirs = stats.ttest_rel(means[level], means[reference])
        low, high = theirs.confidence_interval(0.95)
        effect = found[level]
        assert (effect.mean - effect.half, effect.mean + effect.half) == pytest.approx((low, high), rel=1e-8)
        p.append(theirs.pvalue)
    assert [effect.p for effect in found.values()] == pytest.approx(p, rel=1e-8)
    assert [effect.holm for effect in found.values()] == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_only_settings_that_have_both_levels_count():
    """Without cosine and score together, the effect of the schedule is that over the other two losses."""
    whole = grid(FACTORS, (0, 1, 2), luck)
    runs = [run for run in whole if not (run.settings["schedule"] == "cosine" and run.settings["loss"] == "score")]
    found = effects(runs)
    rest = [run for run in whole if run.settings["loss"] != "score"]
    assert found["cosine"].cells == 2 and found["cosine"].mean == pytest.approx(effects(rest)["cosine"].mean)
    assert found["score"].cells == 1 and found["vlb"].cells == 2


def test_every_seed_that_counts_is_in_every_setting_that_counts():
    """A failed run leaves two settings by three seeds, or three by two; the former are more to judge by."""
    runs = grid(FACTORS, (0, 1, 2), luck)
    runs[0] = replace(runs[0], state="failed", figures={})
    found = effects(runs)
    assert (found["cosine"].n, found["cosine"].cells) == (3, 2)
    assert found["cosine"].mean == pytest.approx(effects(runs[3:])["cosine"].mean)
    runs[10] = replace(runs[10], state="failed", figures={})  # cosine simple 1: seed 2 alone is left of that setting
    runs[15] = replace(runs[15], state="failed", figures={})  # cosine score 0: one setting is whole
    found = effects(runs)
    assert (found["cosine"].n, found["cosine"].cells) == (3, 1)
    runs[13] = replace(runs[13], state="failed", figures={})  # cosine vlb 1: none is
    found = effects(runs)
    assert (found["cosine"].n, found["cosine"].cells) == (2, 1)


def apart(*schedules: str) -> list[Run]:
    """Losses that have no seed in common."""
    runs = grid({"schedule": schedules, "loss": ("simple",)}, (0, 1), luck)
    runs += grid({"schedule": schedules, "loss": ("vlb",)}, (2, 3), luck)
    return [replace(run, name=str(i)) for i, run in enumerate(runs)]


def test_without_shared_seeds_the_difference_over_settings_has_no_interval():
    runs = apart("linear", "cosine")
    effect = effects(runs)["vlb"]
    assert "loss: too few runs to tell its effect on bits/dim from chance." in conclusions(compare(runs, (), ("made",)))
    assert (effect.n, effect.cells) == (0, 2) and isnan(effect.half) and isnan(effect.p)
    means = [sum(run.figures[BITS] for run in own) / 4 for own in (runs[:4], runs[4:])]
    assert effect.mean == pytest.approx(means[1] - means[0])


def test_without_shared_seeds_a_single_setting_is_tested_by_welch():
    report = compare(apart("linear"), (), ("made",))
    ((effect,), (pair,)) = report.effects, report.pairs
    assert (effect.n, effect.p, effect.half) == (0, pair.p, pair.half) and effect.mean == pytest.approx(-pair.mean)
    assert "(unpaired, 1 setting), p" in conclusions(report)[1]


def test_factors_that_only_vary_together_have_no_effects_of_their_own():
    runs = [
        run
        for run in grid({"schedule": ("linear", "cosine"), "loss": ("simple", "vlb")}, (0, 1), luck)
        if (run.settings["schedule"] == "cosine") == (run.settings["loss"] == "vlb")
    ]
    report = compare(runs, (), ("made",))
    assert report.effects == ()
    assert len(report.factors) == 2
    assert "schedule, loss: no effect can be told, since no two runs" in conclusions(report)[1]


def test_a_level_without_the_first_one_beside_it_is_compared_with_the_next():
    """The power of a loss that others do not have."""
    powers = [f"score {power}" for power in (0, 1)]
    runs = grid({"loss": ("simple", *powers)}, (0, 1), luck)
    split = [
        replace(run, settings={**run.settings, "loss": "score", "loss.power": run.settings["loss"][-1]})
        if run.settings["loss"] in powers
        else run
        for run in runs
    ]
    split = [replace(run, typed=tuple(f"{k}={v}" for k, v in run.settings.items() if k != "name")) for run in split]
    report = compare(split, (), ("made",))
    (effect,) = report.effects
    assert (effect.factor, effect.level, effect.reference) == ("loss.power", "1", "0")
    assert not any("unset" in sentence for sentence in conclusions(report))


def test_a_level_without_an_effect_is_named_with_the_reason():
    """Score has a power of its own, and vlb lacks one of the schedules."""
    runs = [run for run in grid(FACTORS, (0, 1), luck) if run.settings["loss"] != "vlb" or "linear" in run.typed[0]]
    powered = [
        replace(run, settings={**run.settings, "model": "wide"}, typed=(*run.typed, "model=wide"))
        if run.settings["loss"] == "score"
        else replace(run, settings={**run.settings, "model": "thin"}, typed=(*run.typed, "model=thin"))
        for run in runs
    ]
    report = compare(powered, (), ("made",))
    vlb = next(effect for effect in report.effects if effect.level == "vlb")
    assert (vlb.cells, vlb.of, vlb.where) == (1, 2, ("model=thin schedule=linear",))
    told = conclusions(report)
    assert "loss=score: no effect can be told, it always differs in model too." in told
    assert any("in 1 of 2 settings: model=thin schedule=linear)" in sentence for sentence in told)


def test_the_sentence_of_a_factor_has_its_numbers():
    report = compare(grid(FACTORS, (0, 1, 2), luck), (), ("made",))
    (sentence,) = (one for one in conclusions(report) if one.startswith("schedule: "))
    effect = report.effects[0]
    assert sentence.startswith(f"schedule: cosine lowers bits/dim by {abs(effect.mean):.3f}"[:-1])
    assert "against linear (n = 3 seeds, 3 settings), p" in sentence and sentence.endswith("(Holm).")
