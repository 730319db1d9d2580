"""Variants of a sweep beside each other: who belongs together, who is best, who cannot be told from the best."""

import csv
import json

import pytest
from PIL import Image
from scipy import stats

from difflab.errors import ConfigError
from difflab.studies.sweep_table import Job, SweepTable, column, grouped

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
    p = {name: stats.ttest_rel(values, GOOD).pvalue for name, values in (("near", NEAR), ("far", FAR))}
    assert p["far"] < p["near"]
    assert cells["far"].p == pytest.approx(2 * p["far"]) and cells["far"].p < 0.05
    assert cells["near"].p == pytest.approx(p["near"]) and cells["near"].p > 0.05
    assert column(grouped(sweep), "test/x", higher=True)["far"].best


def test_runs_are_paired_by_their_seed_and_not_by_their_place(sweep):
    shuffled = [sweep[i] for i in (8, 0, 4, 7, 2, 3, 6, 5, 1)]
    ordered, mixed = (column(grouped(order), "test/x", False) for order in (sweep, shuffled))
    assert {name: cell.p for name, cell in mixed.items()} == pytest.approx(
        {name: cell.p for name, cell in ordered.items()}, nan_ok=True
    )


def test_single_runs_are_told_by_their_own_errors():
    pair = [*jobs([1.0], "a=1", stderr=0.3), *jobs([2.0], "a=2", stderr=0.4)]
    cell = column(grouped(pair), "test/x", False)["2"]
    assert cell.by_own and cell.p == pytest.approx(2 * stats.norm.sf(1 / 0.5))
    silent = column(grouped([*jobs([1.0], "a=1"), *jobs([2.0], "a=2")]), "test/x", False)["2"]
    assert silent.p != silent.p


def test_the_table_says_what_was_measured(sweep, tmp_path, capsys):
    figures = SweepTable(["test/x", "test/absent"], []).tabulate(sweep, tmp_path)
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "table.md").read_text()
    assert "**3 ± 0.25 (3)**" in printed and "3.05 ± 0.12 (3) *" in printed and "test/absent" not in printed
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


def test_single_runs_have_no_interval_and_the_table_says_how_they_are_told(tmp_path, capsys):
    pair = [*jobs([1.0], "a=1", stderr=0.3), *jobs([1.2], "a=2", stderr=0.4)]
    figures = SweepTable(["test/x"], []).tabulate(pair, tmp_path)
    assert figures == {"sweep_table/1/test/x": 1.0, "sweep_table/2/test/x": 1.2}
    assert "1.2 (1) *†" in capsys.readouterr().out


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
