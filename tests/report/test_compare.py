"""What is compared, and that cells and pairs are those of scipy and statsmodels."""

import random
import sys
from dataclasses import replace
from itertools import combinations
from math import isnan, nan
from pathlib import Path

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from difflab.errors import ConfigError
from difflab.report.compare import compare
from difflab.report.conclusions import conclusions
from difflab.report.model import Report, Run

sys.path.insert(0, str(Path(__file__).parent))
from grids import BITS, DISTANCE, grid, made_run

LOSSES = {"loss": ("simple", "vlb", "score")}


def luck(levels: tuple[str, ...], seed: int) -> float:
    """Bits per dimension with what all runs of a seed share, and what each has alone."""
    return 3 + random.Random(seed).gauss(0, 0.02) + random.Random(f"{levels} {seed}").gauss(0, 0.01)


def report_of(runs: list[Run], **more) -> Report:
    return compare(runs, (), ("made",), **more)


def with_figures(runs: list[Run], **figures: float) -> list[Run]:
    """The same runs with more figures of the test, each multiplied by the bits."""
    more = {f"test/{name}": value for name, value in figures.items()}
    return [replace(r, figures={**r.figures, **{k: v * r.figures[BITS] for k, v in more.items()}}) for r in runs]


def test_cells_are_means_with_the_intervals_of_scipy():
    runs = grid(LOSSES, (0, 1, 2), luck)
    cells = report_of(runs).cells[BITS]
    for i, loss in enumerate(LOSSES["loss"]):
        values = [run.figures[BITS] for run in runs[3 * i : 3 * i + 3]]
        low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
        cell = cells[loss]
        assert cell.values == dict(zip("012", values, strict=True)) and cell.n == 3
        assert (cell.mean - cell.half, cell.mean + cell.half) == pytest.approx((low, high), rel=1e-12)


def test_every_pair_is_tested_by_its_shared_seeds_and_adjusted_by_holm():
    runs = grid(LOSSES, (0, 1, 2, 3), luck)
    report = report_of(runs)
    values = {loss: [run.figures[BITS] for run in runs if run.settings["loss"] == loss] for loss in LOSSES["loss"]}
    theirs = [stats.ttest_rel(values[a], values[b]).pvalue for a, b in combinations(values, 2)]
    assert [(pair.a, pair.b) for pair in report.pairs] == list(combinations(values, 2))
    assert [pair.p for pair in report.pairs] == pytest.approx(theirs, rel=1e-10)
    assert [pair.holm for pair in report.pairs] == pytest.approx(list(multipletests(theirs, method="holm")[1]))
    assert {(pair.test, pair.n) for pair in report.pairs} == {("paired t", 4)}
    best = min(values, key=lambda loss: sum(values[loss]))
    holm = {frozenset((pair.a, pair.b)): pair.holm for pair in report.pairs}
    for loss, cell in report.cells[BITS].items():
        assert cell.best == (loss == best)
        assert isnan(cell.p) if cell.best else cell.p == holm[frozenset((loss, best))]


def test_independent_runs_are_tested_by_welch():
    runs = grid({"loss": ("simple",)}, (0, 1, 2), luck) + grid({"loss": ("vlb",)}, (2, 3), luck)
    runs = [replace(run, name=str(i)) for i, run in enumerate(runs)]
    (pair,) = report_of(runs).pairs
    a, b = ([run.figures[BITS] for run in runs if run.settings["loss"] == loss] for loss in ("simple", "vlb"))
    theirs = stats.ttest_ind(a, b, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert (pair.test, pair.n) == ("Welch's t", 0) and pair.p == pytest.approx(theirs.pvalue, rel=1e-10)
    assert (pair.mean - pair.half, pair.mean + pair.half) == pytest.approx((low, high), rel=1e-9)


def test_single_runs_have_a_best_but_no_interval_and_no_test():
    report = report_of(grid(LOSSES, (0,), luck))
    assert report.pairs == () and all(isnan(cell.half) for cell in report.cells[BITS].values())
    assert sum(cell.best for cell in report.cells[BITS].values()) == 1
    assert all(isnan(cell.p) and not cell.like_best for cell in report.cells[BITS].values())
    assert all(isnan(effect.half) and isnan(effect.p) for effect in report.effects)
    sentence = conclusions(report)[0]
    assert "(n = 1)" in sentence and "too few runs to tell" in sentence and "[" not in sentence


def test_a_variant_alone_is_told_without_a_comparison():
    report = report_of(grid({"loss": ("vlb",)}, (0, 1), luck))
    assert len(report.variants) == 1 and report.pairs == report.effects == ()
    assert conclusions(report)[0].startswith("bits/dim: the only choice has ")
    assert "nothing to compare it with" in conclusions(report)[0] and not report.cells[BITS]["as it is"].best


def test_equal_figures_cannot_be_told_apart():
    report = report_of(grid({"loss": ("simple", "vlb")}, (0, 1, 2), lambda _, seed: float(seed)))
    assert [pair.p for pair in report.pairs] == [1.0]
    assert all(cell.best for cell in report.cells[BITS].values())
    assert "all 2 have the same mean" in conclusions(report)[0]


def test_the_main_figures_are_compared_bits_first_and_costs_are_not():
    beside = {
        "fd_classifier": 5.0,
        "fd_classifier_samples": 100.0,
        "classifier_accuracy": 0.3,
    }
    runs = with_figures(grid(LOSSES, (0, 1), luck), **beside, bits_per_dim_truncated=0.5, nll_of_samples=1.0)
    runs = [
        replace(run, figures={"seconds/train": 9.0, **dict(sorted(run.figures.items(), reverse=True))}) for run in runs
    ]
    metrics = report_of(runs).metrics
    assert [metric.key for metric in metrics] == [BITS, DISTANCE]
    assert [metric.title for metric in metrics] == ["bits/dim", "Frechet distance, classifier features"]


def test_real_data_has_a_figure_where_all_runs_agree_in_it():
    runs = with_figures(grid(LOSSES, (0, 1), luck), fd_classifier=5.0)
    floors = [10.1634, 10.16341, 10.1634, None, 10.1634, 10.1634]

    def floor(last: float) -> float:
        each = [*floors[:-1], last]
        more = [{} if value is None else {f"{DISTANCE}_floor": value} for value in each]
        found = [replace(run, figures=run.figures | extra) for run, extra in zip(runs, more, strict=True)]
        return report_of(found).metrics[1].floor

    assert floor(10.1634) == pytest.approx(10.1634, abs=1e-4)
    assert isnan(floor(1.0)) and isnan(floor(10.18))
    assert isnan(report_of(runs).metrics[0].floor)


def test_the_objective_of_the_sweep_comes_first_and_what_was_typed_wins():
    runs = with_figures(grid(LOSSES, (0, 1), luck), fd_classifier=5.0, classifier_accuracy=0.3)
    searched = [replace(run, typed=(*run.typed, "sweep.objective=test/classifier_accuracy")) for run in runs]
    first = report_of(searched).metrics[0]
    assert first.key == "test/classifier_accuracy" and first.higher
    typed = report_of(searched, metrics=[DISTANCE], higher=[DISTANCE]).metrics
    assert [(metric.key, metric.higher) for metric in typed] == [(DISTANCE, True)]
    best = next(name for name, cell in report_of(searched).cells[first.key].items() if cell.best)
    assert all(
        report_of(searched).cells[BITS][best].mean >= cell.mean for cell in report_of(searched).cells[BITS].values()
    )


def test_runs_without_figures_of_the_test_are_compared_by_their_loss():
    report = report_of(grid(LOSSES, (0, 1), luck, "train/loss"))
    assert [metric.key for metric in report.metrics] == ["train/loss"]


@pytest.mark.parametrize(("argument", "field"), [("metrics", "figures"), ("higher", "higher")])
def test_an_unknown_figure_is_refused_with_near_ones(argument, field):
    with pytest.raises(ConfigError, match=rf"^{field}: test/bits is in none .*test/bits_per_dim"):
        report_of(grid(LOSSES, (0, 1), luck), **{argument: ["test/bits"]})


def test_before_any_run_is_done_there_is_nothing_to_refuse():
    runs = [replace(run, state="running", figures={}) for run in grid(LOSSES, (0, 1), luck)]
    report = report_of(runs, metrics=["test/bits"])
    assert report.metrics == report.variants == () and report.running
    assert conclusions(report) == ["6 of 6 runs do not count (6 running)."]


def test_what_is_no_number_or_not_there_is_left_out_and_said():
    runs = with_figures(grid({"loss": ("simple", "vlb")}, (0, 1, 2), luck), fd_classifier=5.0)
    runs[1] = replace(runs[1], figures={**runs[1].figures, BITS: nan})
    runs[5] = replace(runs[5], figures={BITS: runs[5].figures[BITS]})
    report = report_of(runs)
    assert list(report.cells[BITS]["simple"].values) == ["0", "2"]
    assert report.cells[DISTANCE]["vlb"].n == 2 and report.pairs[0].n == 2
    assert len(report.problems) == 2
    assert f"{BITS}: no finite number in 1" in report.problems[0] and f"{DISTANCE}: not in 5" in report.problems[1]


def test_a_run_that_is_there_twice_counts_once():
    runs = grid({"loss": ("simple", "vlb")}, (0, 1), luck)
    report = report_of([*runs, replace(runs[0], name="again")])
    assert report.cells[BITS]["simple"].values["0"] == runs[0].figures[BITS] and report.cells[BITS]["simple"].n == 2
    assert report.problems[0] == "loss=simple: seed 0 was run twice (0, again); their mean counts once"


def test_runs_of_one_seed_are_one_draw_of_it():
    """Another run of a seed says nothing of other seeds, however little it differs."""
    runs = grid({"loss": ("simple", "vlb")}, (0, 1), luck)
    again = [replace(run, name=f"{run.name}b", figures={BITS: run.figures[BITS] + 0.002}) for run in runs]
    report = report_of([*runs, *again])
    cell = report.cells[BITS]["simple"]
    means = [run.figures[BITS] + 0.001 for run in runs[:2]]
    assert cell.values == pytest.approx(dict(zip("01", means, strict=True))) and (cell.n, cell.of) == (2, 2)
    assert [(pair.test, pair.n) for pair in report.pairs] == [("paired t", 2)] and len(report.problems) == 4


def with_values(**values: dict[int, float]) -> list[Run]:
    """Losses with these bits by seed."""
    each = [(loss, seed, bits) for loss, own in values.items() for seed, bits in own.items()]
    return [made_run(f"{loss}{seed}", {"loss": loss}, seed, {BITS: bits}) for loss, seed, bits in each]


def test_a_best_that_is_worse_on_shared_seeds_differs_from_nothing():
    """Its lucky fourth seed makes a the best, though b is better in each seed that both have."""
    runs = with_values(a={0: 3.0, 1: 2.9, 2: 2.8, 3: 2.0}, b={0: 2.95, 1: 2.852, 2: 2.749})
    report = report_of(runs)
    assert report.pairs[0].p < 0.001 and report.cells[BITS]["a"].best
    b = report.cells[BITS]["b"]
    assert b.like_best and b.against == "a" and b.ahead == pytest.approx(0.0497, abs=1e-4)
    sentence = conclusions(report)[0]
    assert "; the other one cannot be told from it; on the seeds both have, loss=b is better" in sentence
    assert sentence.endswith(" better than loss=a by 0.04967.")
    higher = report_of([replace(r, figures={BITS: -r.figures[BITS]}) for r in runs], higher=[BITS])
    assert higher.cells[BITS]["b"].like_best
    lucky = report_of(with_values(a={0: 2.9, 1: 2.8, 2: 2.7, 3: 2.6}, b={0: 2.95, 1: 2.852, 2: 2.749}))
    assert not lucky.cells[BITS]["b"].like_best and "the other one differs from it." in conclusions(lucky)[0]


def test_few_shared_seeds_of_many_are_no_pairs():
    many = {seed: luck(("simple",), seed) for seed in range(10)}

    def test_of(other: range) -> tuple[str, int]:
        report = report_of(with_values(a=many, b={seed: luck(("vlb",), seed) + 0.05 for seed in other}))
        (effect,) = report.effects
        assert (effect.p, effect.n, effect.mean) == (report.pairs[0].p, report.pairs[0].n, -report.pairs[0].mean)
        return report.pairs[0].test, report.pairs[0].n

    assert test_of(range(8, 18)) == ("Welch's t", 0)
    assert test_of(range(8, 10)) == ("paired t", 2)  # all that b has
    assert test_of(range(1, 11)) == ("paired t", 9)


DATA = {"data": ("digits", "toy"), "loss": ("simple", "vlb")}


def scaled(levels: tuple[str, ...], seed: int) -> float:
    return luck(levels, seed) * (10 if "toy" in levels else 1) + 0.1 * ("vlb" in levels)


@pytest.mark.parametrize("by_experiment", [False, True])
def test_data_sets_are_not_compared(by_experiment):
    runs = grid(DATA, (0, 1, 2), scaled)
    if by_experiment:  # one name tells both
        runs = [
            replace(
                run,
                settings={**run.settings, "experiment": run.settings["data"], "model": run.settings["data"]},
                typed=(f"experiment={run.settings['data']}", *run.typed[1:]),
            )
            for run in runs
        ]
    report = report_of(runs)
    assert len(report.pairs) == 2 and all(pair.p == pair.holm for pair in report.pairs)
    assert [cell.best for cell in report.cells[BITS].values()] == [True, False, True, False]
    assert [effect.factor for effect in report.effects] == ["loss"] and report.effects[0].cells == 2
    told = conclusions(report)
    assert told[0].startswith("bits/dim, data=digits: ") and told[1].startswith("bits/dim, data=toy: ")
    assert told[2] == "data: its levels are not compared, since bits/dim would be of different things."


def test_features_set_distances_apart_but_not_bits_and_batches_set_nothing_apart():
    runs = with_figures(grid({"features": ("classifier", "dinov2")}, (0, 1), luck), fd_classifier=5.0)
    report = report_of(runs)
    assert {pair.metric for pair in report.pairs} == {effect.metric for effect in report.effects} == {BITS}
    assert not any(cell.best for cell in report.cells[DISTANCE].values())
    assert "features=dinov2: the only choice has" in conclusions(report)[2]
    for field, n in (("data.size", 0), ("data.batch_size", 1), ("data.flip", 1)):
        assert len(report_of(grid({field: ("16", "32")}, (0, 1), luck)).pairs) == n


def test_other_numbers_of_steps_within_a_variant_are_a_problem():
    runs = grid({"loss": ("simple", "vlb")}, (0, 1), luck)
    steps = [6000, 1500, 1500, 1500]
    runs = [replace(run, figures={**run.figures, "train/steps": n}) for run, n in zip(runs, steps, strict=True)]
    told = "loss=simple: trained for different numbers of steps: 1,500 (seed 1), 6,000 (seed 0)"
    assert report_of(runs).problems == (told,)


def test_sentences_are_grammatical_about_one_and_none():
    values = {loss: {s: 3 + random.Random(f"{loss}{s}").gauss(0, 0.02) for s in range(3)} for loss in "abcd"}
    report = report_of(with_values(**values))
    assert "none of the 3 others can be told from it." in conclusions(report)[0]
    assert "cannot be told from a in bits/dim: difference " in conclusions(report)[1]


def test_runs_without_a_seed_count_by_their_names():
    report = report_of([made_run(name, {"loss": "vlb"}, None, {BITS: 3.0}) for name in "ab"])
    assert report.cells[BITS]["as it is"].values == {"run a": 3.0, "run b": 3.0}
