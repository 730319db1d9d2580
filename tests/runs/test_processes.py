"""Training by two processes, started as users start it."""

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGTERM, SMALL, run_folder, shell, start, train
from ranks import FAULTS, FINE

pytestmark = pytest.mark.slow  # whole runs in processes of their own

RANKS = str(Path(__file__).with_name("ranks.py"))
TWO = ("trainer=ddp", "trainer.devices=2")
FIGURES = ("metrics=default", "metrics.draws=1", "metrics.samples=40", "sampler.steps=4", "features.steps=20")


def test_two_processes_train_and_score_as_one_does_and_a_sweep_of_them_is_a_sweep(tmp_path):
    """The same images, times and noise, and so the same weights but for the order of additions."""
    code, text = train(*TWO, *FIGURES, "-m", "seed=0,1", folder=tmp_path)
    assert code == 0, text
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


def test_a_process_that_ends_is_the_end_of_its_job_and_not_of_the_sweep(tmp_path):
    """Killed, broken or refused: each job says so, and the last one is fine."""
    seeds = f"seed={','.join(str(seed) for seed in (*FAULTS, FINE))}"
    child = shell([RANKS, *SMALL, *TWO, "-m", seeds], tmp_path)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 1, stderr
    assert not [p.pid for p in psutil.process_iter() if str(tmp_path) in started_in(p)]
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    jobs = [json.loads((sweep / str(number) / "status.json").read_text()) for number in range(len(FAULTS) + 1)]
    assert [job["state"] for job in jobs] == ["failed"] * len(FAULTS) + ["done"]
    for reason, job in zip(FAULTS.values(), jobs, strict=False):
        assert reason in job["reason"]
    told = [line for line in stdout.splitlines() if line.startswith("job ") and " failed " in line]
    assert len(told) == len(FAULTS) and "error:" not in stderr  # each is told once
    assert all(reason in line for reason, line in zip(FAULTS.values(), told, strict=True))
    alone = torch.load(sweep / "0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert alone["global_step"] == 6


def started_in(process: psutil.Process) -> str:
    """Where a process lives."""
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def test_a_signal_to_the_first_process_stops_both_with_a_checkpoint_and_its_death_ends_both(tmp_path):
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
    saved = step_of(run)
    assert f"after step {saved}, which is saved" in status["reason"]
    assert (status["state"], status["exit"]) == ("preempted", 143)
    again = start("train", [f"resume={run}", "trainer.max_steps=200000000"], tmp_path)
    while again.is_alive() and step_of(run) <= saved:
        time.sleep(0.05)
    assert again.pid is not None
    (second,) = [p for p in psutil.Process(again.pid).children() if p.environ().get("LOCAL_RANK") == "1"]
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 2
    assert "another process is writing" in text
    again.kill()
    second.wait(30)
    again.join(30)
    assert step_of(run) > saved


def step_of(run: Path) -> int:
    """Of the last checkpoint."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
