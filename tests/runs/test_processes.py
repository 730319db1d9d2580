"""Training by two processes, started as users start it."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGTERM, SMALL, run_folder, shell, train

pytestmark = pytest.mark.slow  # whole runs in processes of their own

TWO = ("trainer=ddp", "trainer.devices=2")
FIGURES = ("metrics=default", "metrics.draws=1", "metrics.samples=40", "sampler.steps=4", "features.steps=20")


@pytest.mark.slow
def test_two_processes_train_and_score_as_one_does_and_a_sweep_of_them_is_a_sweep(tmp_path):
    """The same images, times and noise, and so the same weights but for the order of additions."""
    child = shell(["train.py", *SMALL, *TWO, *FIGURES, "-m", "seed=0,1"], tmp_path)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    assert not (tmp_path / "outputs" / "runs").exists()
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["done", "done"]
    code, text = train(*FIGURES, "seed=1", folder=tmp_path)
    assert code == 0, text
    runs = (sweep / "1", run_folder(tmp_path))
    figures = [json.loads((run / "metrics.json").read_text()) for run in runs]
    assert figures[0].keys() == figures[1].keys()
    for name in ("train/loss", "test/bits_per_dim", "test/fd_classifier", "train/steps"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-5)
    floor = [f["test/fd_classifier_floor"] for f in figures]
    assert floor[0] == pytest.approx(floor[1], rel=1e-5)  # every image counts once, whatever the number of processes
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs)
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], atol=1e-4, rtol=0)
    assert not all(torch.equal(weight, other[name]) for name, weight in one.items())  # it was two processes


@pytest.mark.slow
def test_two_processes_share_what_the_losses_have_been(tmp_path):
    """Importance times: both draw from the same history, which is that of one process."""
    options = ("schedule=vp", "loss=vlb", "times=importance", "times.cells=4", "times.history=2")
    code, text = train(*options, folder=tmp_path)
    assert code == 0, text
    alone = run_folder(tmp_path)
    child = shell(["train.py", *SMALL, *TWO, *options, "name=two"], tmp_path)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    (together,) = (tmp_path / "outputs" / "runs" / "two").iterdir()
    saved = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (alone, together)
    ]
    assert torch.equal(saved[0]["times.seen"], saved[1]["times.seen"])
    torch.testing.assert_close(saved[0]["times.losses"], saved[1]["times.losses"], rtol=1e-4, atol=1e-4)
    assert not torch.equal(saved[0]["times.losses"], saved[1]["times.losses"])  # it was two processes


@pytest.mark.slow
def test_two_processes_draw_the_directions_of_one(tmp_path):
    """Sliced score matching: every example has the same random directions, whoever computes it."""
    options = ("loss=sliced_vr", "trainer.log_every_n_steps=1")
    code, text = train(*options, folder=tmp_path)
    assert code == 0, text
    alone = run_folder(tmp_path)
    child = shell(["train.py", *SMALL, *TWO, *options, "name=two"], tmp_path)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    (together,) = (tmp_path / "outputs" / "runs" / "two").iterdir()
    losses = []
    for run in (alone, together):
        with (run / "metrics.csv").open() as file:
            losses.append([float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]])
    assert len(losses[0]) == 12
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    saved = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (alone, together)
    ]
    assert not all(torch.equal(weight, saved[1][name]) for name, weight in saved[0].items())  # it was two processes


@pytest.mark.slow
def test_a_signal_to_the_first_process_stops_both_with_a_checkpoint(tmp_path):
    settings = [item for item in SMALL if not item.startswith("trainer.max_steps")]
    child = shell(["train.py", *settings, *TWO, "trainer.max_steps=100000000"], tmp_path)
    while child.poll() is None and not list(tmp_path.glob("outputs/runs/test/*/checkpoints/last.ckpt")):
        time.sleep(0.05)
    (second,) = [p for p in psutil.Process(child.pid).children() if p.environ().get("LOCAL_RANK") == "1"]
    os.kill(child.pid, SIGTERM)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 143, stderr
    assert not second.is_running()
    run = run_folder(tmp_path)
    status = json.loads((run / "status.json").read_text())
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert f"after step {saved}, which is saved" in status["reason"]
    assert (status["state"], status["exit"]) == ("preempted", 143)
    child = shell(["train.py", f"resume={run}", f"trainer.max_steps={saved + 2}"], tmp_path)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 0, stderr
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == saved + 2
    assert run_folder(tmp_path) == run
