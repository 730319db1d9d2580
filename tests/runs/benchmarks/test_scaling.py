"""Exponents of time; what is found on this machine is not asserted."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from difflab.runs.benchmarks import growing_networks, scaling
from difflab.runs.benchmarks.growing_networks import averages
from difflab.runs.benchmarks.growing_runs import SEEDS, copies
from difflab.runs.benchmarks.growth import exponent, growth


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_power_law(power):
    assert exponent({size: 3 * size**power for size in (1, 2, 4, 8)}) == pytest.approx(power)


def test_what_grows_faster_than_its_size_falls_short():
    row = growth("waiting", {n: lambda n=n: time.sleep(2e-3 * n**2) for n in (2, 4, 8)}, 1, "waiting")
    assert 1.6 < row.ours < 2.1 and not row.met
    assert row.name == "scaling, waiting" and "for 8" in row.how


@pytest.mark.slow
def test_averages_are_updated(monkeypatch):
    updated = []
    monkeypatch.setattr("torch._foreach_lerp_", lambda average, weights, share: updated.append(len(average)))
    averages(1)
    assert updated == 2 * 3 * (1 + 2 + 4) * [60]


def test_copies_of_a_run_are_runs_of_other_seeds(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("optim: {lr: 0.1}\nseed: 9\n")
    (run / "metrics.json").write_text(json.dumps({"seed": 9, "train/steps": 2}))
    (run / "environment.json").write_text("{}")
    made = copies(run, tmp_path / "copies", SEEDS + 1)
    found = [json.loads((folder / "metrics.json").read_text()) for folder in sorted(made.iterdir())]
    assert [one["seed"] for one in found] == [*range(SEEDS), 0]
    assert len({one["test/bits_per_dim"] for one in found}) == SEEDS + 1


@pytest.mark.slow  # networks are called many times
def test_every_growth_of_networks_is_measured(monkeypatch):
    for name, sizes in {"STEPS": (21, 42), "SIDES": (8, 16), "BATCHES": (1, 2), "IMAGES": 1}.items():
        monkeypatch.setattr(growing_networks, name, sizes)
    monkeypatch.setattr(growing_networks, "Weights", lambda: torch.nn.Linear(2, 2))
    rows = growing_networks.of_networks(1)
    names = ("sampling by T", "exact bound by T", "training by pixels", "training by batch", "EMA by lengths")
    assert [row.name for row in rows] == [f"scaling, {name}" for name in names]


def test_two_processes_are_compared_with_one_in_turn(monkeypatch):
    asked = []

    def rate(processes, threads, steps):
        asked.append((processes, threads))
        return [90.0, 110.0] if processes == 2 else [100.0, 120.0, 140.0]

    monkeypatch.setattr(scaling, "rate", rate)
    row = scaling.processes({"steps": 3})
    assert asked == [(1, 2), (2, 1)] * scaling.RUNS
    assert (row.ours, row.peer) == (100, 120) and row.ratio == row.ours / row.peer and not row.met


def test_the_rates_after_the_first_are_read(monkeypatch):
    def run(command, env, **_):
        folder = Path(next(a for a in command if a.startswith("outputs=")).partition("=")[2], "runs", "scaling", "x")
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("step,train/images_per_second,val/loss\n10,7,\n20,8,\n20,,0.5\n30,9.5,\n")
        assert env["OMP_NUM_THREADS"] == "1" and "trainer.devices=2" in command

    monkeypatch.setattr(scaling, "subprocess", SimpleNamespace(run=run))
    assert scaling.rate(2, 1, 30) == [8.0, 9.5]
