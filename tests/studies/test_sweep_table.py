"""Variants of a sweep beside each other: who belongs together, who is best, who cannot be told from the best."""

import csv
import json
from itertools import combinations
from math import isnan

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from difflab.errors import ConfigError
from difflab.statistics import holm, paired
from difflab.studies.sweep_table import Job, SweepTable, column, grouped

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

SEEDS = ("0", "1", "2")
GOOD, NEAR, FAR = (3.0, 3.1, 2.9), (3.1, 3.0, 3.05), (4.0, 4.12, 3.91)


def jobs(values, *typed, metric="test/x", stderr=None):
    """A run for each value, with seeds from 0."""
    return [
        Job(
            dict(item.split("=", 1) for item in (*typed, f"seed={seed}", "name=some")),
            {metric: value} | ({} if stderr is None else {f"{metric}_stderr": stderr}),
        )
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def sweep():
    return [*jobs(GOOD, "ablation=good"), *jobs(NEAR, "ablation=near"), *jobs(FAR, "ablation=far")]


def test_runs_that_differ_in_the_seed_belong_together(sweep):
    found = grouped(sweep)
    assert list(found) == ["good", "near", "far"]
    assert [[job.seed for job in own] for own in found.values()] == [list(SEEDS)] * 3


def test_several_sweeps_are_told_apart_by_all_that_was_typed():
    found = grouped([*jobs(GOOD, "loss=simple"), *jobs(FAR, "loss=score", "loss.power=1"), *jobs(NEAR, "loss=vlb")])
    assert list(found) == ["loss=simple", "loss=score,loss.power=1", "loss=vlb"]
    assert list(grouped(jobs(GOOD, "loss=simple"))) == ["as it is"]


def test_the_best_and_what_cannot_be_told_from_it(sweep):
    cells = column(grouped(sweep), "test/x", higher=False)
    assert [cell.best for cell in cells.values()] == [True, False, False]
    pairs = {"near": (NEAR, GOOD), "far": (FAR, GOOD), "other": (NEAR, FAR)}
    p = {name: stats.ttest_rel(*values).pvalue for name, values in pairs.items()}
    assert p["far"] < p["other"] < p["near"]  # three questions, two, and one
    assert cells["far"].p == pytest.approx(3 * p["far"]) and cells["far"].p < 0.05
    assert cells["near"].p == pytest.approx(p["near"]) and cells["near"].p > 0.05
    assert column(grouped(sweep), "test/x", higher=True)["far"].best


def test_runs_are_paired_by_their_seed_and_not_by_their_place(sweep):
    shuffled = [sweep[i] for i in (8, 0, 4, 7, 2, 3, 6, 5, 1)]
    ordered, mixed = (column(grouped(order), "test/x", False) for order in (sweep, shuffled))
    assert {name: cell.p for name, cell in mixed.items()} == pytest.approx(
        {name: cell.p for name, cell in ordered.items()}, nan_ok=True
    )


TABLES, VARIANTS = 600, 5


@pytest.mark.parametrize("n", [3, 10])
def test_variants_that_are_all_the_same_are_told_apart_in_one_table_of_twenty(n):
    """Comparisons with the best alone, which is chosen by the same figures, err more often than they say."""
    draws = np.random.default_rng(n)
    tables = draws.normal(size=(TABLES, VARIANTS, n)) + draws.normal(size=(TABLES, 1, n))  # what a seed does to all
    wrong = with_best = 0
    for table in tables.tolist():
        variants = {name: jobs(values) for name, values in zip("abcde", table, strict=True)}
        cells = column(variants, "test/x", higher=False)
        (best,) = (name for name, cell in cells.items() if cell.best)
        wrong += any(cell.p <= 0.05 for cell in cells.values())
        alone = {name: paired(cells[name].values, cells[best].values).p for name in cells if name != best}
        with_best += any(p <= 0.05 for p in holm(alone).values())
    most = stats.binom.ppf(0.975, TABLES, 0.05)
    assert 0 < wrong <= most < with_best


def test_a_false_word_about_any_pair_is_as_rare():
    """Not only about those with the best: the adjusted p-values of all pairs, at once for all tables."""
    n, k = 3, VARIANTS
    values = np.random.default_rng(0).normal(size=(4000, k, n))
    p = np.stack([stats.ttest_rel(values[:, a], values[:, b], axis=1).pvalue for a, b in combinations(range(k), 2)])
    wrong = (p.min(0) * len(p) <= 0.05).sum()  # Holm finds something where Bonferroni does
    assert wrong <= stats.binom.ppf(0.975, len(values), 0.05)


@pytest.mark.parametrize("stderr", [0.001, None])
def test_one_run_a_variant_cannot_tell(stderr):
    """The error of a run's own figure says nothing of what another training would have found."""
    cells = column(grouped([*jobs([1.0], "a=1", stderr=stderr), *jobs([2.0], "a=2", stderr=stderr)]), "test/x", False)
    assert all(cell.p != cell.p and cell.interval != cell.interval for cell in cells.values())


def test_pairs_without_seeds_in_common_are_no_questions(sweep):
    """What has one run only leaves the others as they were."""
    before = column(grouped(sweep), "test/x", False)
    after = column(grouped([*sweep, *jobs([3.5], "ablation=single")]), "test/x", False)
    assert after["single"].p != after["single"].p
    assert {name: after[name].p for name in ("near", "far")} == {name: before[name].p for name in ("near", "far")}


def test_the_table_says_what_was_measured(sweep, tmp_path, capsys):
    figures = SweepTable(["test/x"], []).tabulate(sweep, tmp_path)
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "table.md").read_text()
    assert "**3 ± 0.25 (3)**" in printed and "3.05 ± 0.12 (3) *" in printed and "over all pairs" in printed
    (far,) = [line for line in printed.splitlines() if "| far" in line]
    assert "4.01 ± 0.26 (3)" in far and "*" not in far
    assert figures["sweep_table/far/test/x"] == pytest.approx(4.01)
    low, high = stats.t.interval(0.95, 2, loc=4.01, scale=stats.sem(FAR))
    assert figures["sweep_table/far/test/x_interval"] == pytest.approx((high - low) / 2)
    with (tmp_path / "table.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert rows["near"]["values"] == "3.1 3 3.05" and rows["good"]["best"] == "1" and rows["far"]["n"] == "3"
    with Image.open(tmp_path / "table.png") as image:
        assert min(image.size) > 200


def test_single_runs_have_no_interval_and_the_table_says_that_they_tell_nothing(tmp_path, capsys):
    pair = [*jobs([1.0], "a=1", stderr=0.3), *jobs([1.2], "a=2", stderr=0.4)]
    figures = SweepTable(["test/x"], []).tabulate(pair, tmp_path)
    assert figures == {"sweep_table/1/test/x": 1.0, "sweep_table/2/test/x": 1.2}
    printed = capsys.readouterr().out
    assert "| 1.2 (1) ?" in printed and "± 0" not in printed and "\\*" not in printed
    assert "one run a variant cannot tell" in printed
    with (tmp_path / "table.csv").open() as file:
        assert [(row["interval"], row["p_holm"]) for row in csv.DictReader(file)] == [("", "")] * 2


def test_what_was_not_compared_has_no_p(sweep):
    cells = column(grouped([*sweep, *jobs([3.5], "ablation=single")]), "test/x", False)
    assert isnan(cells["single"].p) and isnan(cells["good"].p) and cells["far"].p < 0.05


def test_a_metric_that_no_run_has_is_refused_and_one_that_some_have_is_blank(sweep, tmp_path, capsys):
    names = r"study\.metrics: test/y is in none of the runs; allowed are those there, as test/x$"
    with pytest.raises(ConfigError, match=names):
        SweepTable(["test/x", "test/y"], []).tabulate(sweep, tmp_path)
    assert not list(tmp_path.iterdir())
    some = [*sweep, *jobs((1.0, 2.0), "ablation=other", metric="test/y")]
    SweepTable(["test/x", "test/y"], []).tabulate(some, tmp_path)
    rows = {row[0]: row[1:] for row in (line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()) if row}
    rows = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert rows["other"] == ["", "**1.5 ± 6.4 (2)**"] and rows["far"][1] == ""
    assert (tmp_path / "table.png").is_file()


def test_a_run_folder_says_what_was_typed_and_found(tmp_path):
    (tmp_path / "environment.json").write_text(json.dumps({"overrides": ["loss=vlb", "+x.y=3", "seed=2"]}))
    (tmp_path / "metrics.json").write_text(json.dumps({"test/x": 1.5}))
    job = Job.of(tmp_path)
    assert job.settings == {"loss": "vlb", "x.y": "3", "seed": "2"}
    assert (job.seed, job.figures) == ("2", {"test/x": 1.5})


@pytest.mark.parametrize(("metrics", "higher", "field"), [([], [], "metrics"), (["a"], ["b"], "higher")])
def test_columns_that_cannot_be_are_refused(metrics, higher, field):
    with pytest.raises(ConfigError, match=f"study.{field}"):
        SweepTable(metrics, higher)
