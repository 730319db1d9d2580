"""Sweeps by other launchers and sweepers, resumed, stopped and with a worker killed: real processes throughout."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import SIGKILL, SMALL, read, shell, train

pytestmark = pytest.mark.slow  # whole runs in processes of their own

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TWO = ("trainer=ddp", "trainer.devices=2")
LONG = ("trainer.max_steps=100000", "checkpoints.every=20", "trainer.val_check_interval=100000")


def the_sweep(folder: Path) -> Path:
    (found,) = (folder / "outputs" / "sweeps" / "test").iterdir()
    return found


def states(folder: Path) -> list[str]:
    return [job["state"] for job in json.loads((the_sweep(folder) / "sweep.json").read_text())["jobs"]]


def status(job: Path) -> dict:
    path = job / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def wait_for(what: Callable[[], bool], child: subprocess.Popen) -> None:
    """Until it is so; a child that ends before has failed."""
    for _ in range(1200):
        if what():
            return
        if child.poll() is not None:
            raise AssertionError(child.communicate())
        time.sleep(0.1)
    raise AssertionError("it never was")


def trains(sweep: Callable[[], Path], *numbers: int) -> Callable[[], bool]:
    """Whether these jobs have saved a checkpoint."""
    return lambda: all(list(sweep().glob(f"{number}/checkpoints/step_*.ckpt")) for number in numbers)


def sweep_in(folder: Path) -> Callable[[], Path]:
    """The sweep's folder, or one that is not there yet."""
    return lambda: next((folder / "outputs" / "sweeps" / "test").glob("*"), folder / "none")


def weights(job: Path) -> dict[str, torch.Tensor]:
    return torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that works in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A grid of three that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    code, text = train("-m", "seed=0,1,2", "model.dropout=0.1", folder=folder)
    assert code == 0, text
    return the_sweep(folder)


def test_a_sweep_that_was_killed_goes_on_where_it_was(whole, tmp_path):
    grid = ("-m", "seed=0,1", "model.dropout=0.1")
    assert train(*grid, folder=tmp_path, kill=("training", 5, SIGKILL))[0] == -9
    sweep = the_sweep(tmp_path)
    code, text = train(*grid, f"sweep.resume={sweep}", folder=tmp_path)
    assert code == 0, text
    assert "0 done before, 1 to go on with, 1 to begin" in text
    assert states(tmp_path) == ["done", "done"]
    assert (sweep / "0" / ".hydra" / "resume-1").is_dir()
    assert all(same_weights(sweep / name, whole / name) for name in ("0", "1"))
    written = (sweep / "0" / "metrics.json").stat().st_mtime_ns
    longer = ("trainer.max_time=00:01:00:00", "logger=none")  # which make it no other job
    code, text = train("-m", "seed=0,1,2", "model.dropout=0.1", f"sweep.resume={sweep}", *longer, folder=tmp_path)
    assert code == 0, text
    assert "2 done before, 0 to go on with, 1 to begin" in text
    assert (sweep / "0" / "metrics.json").stat().st_mtime_ns == written
    assert same_weights(sweep / "2", whole / "2")
    assert the_sweep(tmp_path) == sweep
    record = json.loads((sweep / "sweep.json").read_text())
    assert "sweep.resume" not in " ".join(record["command"]) and len(record["resumed"]) == 2


def test_equal_jobs_are_several_and_other_changes_are_other_jobs(tmp_path):
    refused = ("-m", "seed=0,0", "optim.lr=-1")
    assert train(*refused, folder=tmp_path)[0] == 1
    sweep = the_sweep(tmp_path)
    code, text = train(*refused, f"sweep.resume={sweep}", folder=tmp_path)
    assert code == 1, text
    assert "0 done before, 2 to go on with, 0 to begin" in text
    assert states(tmp_path) == ["refused", "refused"]
    code, text = train("-m", "seed=0,0", "optim.lr=-2", f"sweep.resume={sweep}", folder=tmp_path)
    assert "2 others in this folder, of another command, stay as they are" in text
    assert states(tmp_path) == ["refused"] * 4


def test_a_launcher_that_cannot_start_says_why(tmp_path):
    code, text = train("-m", "seed=0,1", "hydra/launcher=submitit_slurm", folder=tmp_path)
    assert code == 1
    assert 'error: RuntimeError: Could not detect "srun"' in text
    jobs = json.loads((the_sweep(tmp_path) / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["missing"] * 2
    assert all("srun" in job["reason"] for job in jobs)
    assert "Traceback" in (the_sweep(tmp_path) / "launcher.log").read_text()


def test_jobs_that_were_to_begin_do_not_once_the_sweep_was_stopped(tmp_path):
    """SIGTERM while submitit starts the jobs: they find that the sweep has ended, and end too."""
    child = shell(["train.py", *SMALL, *LONG, "-m", "seed=0,1", "hydra/launcher=submitit_local"], tmp_path)
    sweep = sweep_in(tmp_path)
    wait_for(lambda: len(list(sweep().glob(".submitit/*"))) == 2, child)
    child.send_signal(signal.SIGTERM)
    stdout, stderr = child.communicate(timeout=120)
    assert child.returncode == 143, stdout + stderr
    for _ in range(600):
        if not processes_of(tmp_path):
            break
        time.sleep(0.1)
    assert not processes_of(tmp_path)
    assert not list(sweep().glob("*/checkpoints/*.ckpt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "seed=0,1", "sweep.resume=nowhere"], "sweep.resume: nowhere is not a sweep; allowed are folders"),
        (["sweep.resume={whole}"], "was begun with: train.py model=mlp"),
    ],
)
def test_what_is_no_sweep_is_not_resumed(arguments, message, whole, tmp_path):
    child = shell(["train.py", *(a.format(whole=whole) for a in arguments)], tmp_path)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 2, stderr
    assert message in stderr
    assert not (tmp_path / "outputs").exists()


def test_a_sweep_that_runs_is_not_run_by_another_process(whole, tmp_path):
    with FileLock(whole / ".hydra" / "lock"):
        code, text = train("-m", "seed=0,1,2", "model.dropout=0.1", f"sweep.resume={whole}", folder=tmp_path)
    assert code == 2, text
    assert "another process runs" in text


def test_joblib_runs_jobs_at_once_and_a_killed_worker_costs_nothing(tmp_path, whole):
    """Two workers; one is killed while both train: the pool breaks, and both jobs go on from their checkpoints."""
    child = shell(["train.py", *SMALL, *LONG, "trainer.max_steps=200", "-m", "seed=0,1,2", *JOBLIB], tmp_path)
    sweep = sweep_in(tmp_path)
    wait_for(trains(sweep, 0, 1), child)
    assert status(sweep() / "0")["pid"] != status(sweep() / "1")["pid"]
    os.kill(status(sweep() / "0")["pid"], signal.SIGKILL)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stdout + stderr
    assert states(tmp_path) == ["done"] * 3
    assert (sweep() / "0" / ".hydra" / "resume-1").is_dir()
    lines = stdout.splitlines()
    assert lines[0] == f"sweep: 3 jobs in {sweep()}"
    assert sum(line.startswith("job ") for line in lines) == 3
    assert not processes_of(tmp_path)


@pytest.mark.parametrize(
    ("send", "signum", "code", "state"),
    [(os.kill, signal.SIGTERM, 143, "preempted"), (os.killpg, signal.SIGINT, 130, "interrupted")],
    ids=["SIGTERM to it", "Ctrl-C to all"],
)
def test_a_sweep_of_workers_that_is_stopped_saves_all_that_train_and_begins_no_other(
    send, signum, code, state, tmp_path
):
    child = shell(["train.py", *SMALL, *LONG, "-m", "seed=0,1,2", *JOBLIB], tmp_path)
    sweep = sweep_in(tmp_path)
    wait_for(trains(sweep, 0, 1), child)
    send(child.pid, signum)
    stdout, stderr = child.communicate(timeout=120)
    assert child.returncode == code, stdout + stderr
    for name in ("0", "1"):
        saved = torch.load(sweep() / name / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
        assert f"after step {saved}, which is saved" in status(sweep() / name)["reason"]
        assert status(sweep() / name)["state"] == state
    assert not (sweep() / "2" / "status.json").exists()
    assert not processes_of(tmp_path)


def test_jobs_on_two_processes_by_joblib_are_what_they_are_on_one(tmp_path):
    child = shell(["train.py", *SMALL, "-m", "seed=0,1", *JOBLIB, *TWO], tmp_path)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stdout + stderr
    assert not processes_of(tmp_path)
    code, text = train("-m", "seed=0,1", "name=alone", folder=tmp_path)
    assert code == 0, text
    (alone,) = (tmp_path / "outputs" / "sweeps" / "alone").iterdir()
    for job in ("0", "1"):
        a, b = weights(the_sweep(tmp_path) / job), weights(alone / job)
        assert all(torch.allclose(a[name], b[name], rtol=0, atol=1e-4) for name in a)
        assert not same_weights(the_sweep(tmp_path) / job, alone / job)  # it was two processes


def test_submitit_queues_a_job_again_that_was_warned(tmp_path, whole):
    """The cluster's warning comes while job 0 trains; it saves, is queued again, and ends as if nothing had been."""
    long = ("trainer.max_steps=200", "model.dropout=0.1")
    child = shell(["train.py", *SMALL, *LONG, *long, "-m", "seed=0,1", "hydra/launcher=submitit_local"], tmp_path)
    sweep = sweep_in(tmp_path)
    wait_for(trains(sweep, 0), child)
    os.kill(status(sweep() / "0")["pid"], signal.SIGUSR2)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stdout + stderr
    assert states(tmp_path) == ["done", "done"]
    assert "stopped by SIGUSR2 after step" in (sweep() / "0" / "run.log").read_text()
    code, text = train(*LONG, *long, folder=tmp_path)
    assert code == 0, text
    (run,) = (tmp_path / "outputs" / "runs" / "test").iterdir()
    assert same_weights(sweep() / "0", run)
    assert not processes_of(tmp_path)


SEARCH = ("-m", "sweep=optuna", "optim.lr=tag(log,interval(1e-4,1e-1))", "sweep.objective=train/loss")


def trials(sweep: Path) -> list:
    import optuna

    return optuna.load_study("difflab", f"sqlite:///{sweep / 'optuna.db'}").get_trials()


def test_optuna_searches_and_goes_on_with_what_it_knows(tmp_path):
    """Killed in its third trial, resumed: that trial goes on in its folder, and no trial is paid for twice."""
    search = (*SEARCH, "sweep.direction=maximize")
    code, text = train(*search, "sweep.trials=2", folder=tmp_path)
    assert code == 0, text
    sweep = the_sweep(tmp_path)
    more = (*search, "sweep.trials=4", f"sweep.resume={sweep}")
    assert train(*more, folder=tmp_path, kill=("training", 5, SIGKILL))[0] == -9
    assert status(sweep / "2")["state"] == "running"
    known = [(trial.state, trial.params) for trial in trials(sweep)]
    with FileLock(sweep / ".hydra" / "lock"):  # while another process runs it, nothing is touched
        assert train(*more, folder=tmp_path)[0] == 2
    code, text = train(*SEARCH, f"sweep.resume={sweep}", folder=tmp_path)
    assert code == 2 and "sweep.direction: minimize; this search was begun with maximize" in text
    assert [(trial.state, trial.params) for trial in trials(sweep)] == known
    code, text = train(*search, "sweep.trials=4", "logger=none", f"sweep.resume={sweep}", folder=tmp_path)
    assert code == 0, text
    assert sorted(path.name for path in sweep.glob("[0-9]*")) == ["0", "1", "2", "3"]
    assert (sweep / "2" / ".hydra" / "resume-1").is_dir()
    losses = [json.loads((sweep / str(i) / "metrics.json").read_text())["train/loss"] for i in range(4)]
    told = [trial.value for trial in trials(sweep) if trial.value is not None]
    assert sorted(told) == sorted(losses)
    best = max(losses)
    assert f"best train/loss: {best:.4g}, job {losses.index(best)}: optim.lr=" in text
    assert len({trial.params["optim.lr"] for trial in trials(sweep)}) == 4
    code, text = train(*search, "sweep.trials=4", f"sweep.resume={sweep}", folder=tmp_path)
    assert code == 0 and f"best train/loss: {best:.4g}" in text  # nothing is left to do


def test_a_search_outlives_trials_that_fail_and_names_an_objective_that_is_none(tmp_path):
    """Every trial is refused, then none has the figure: recorded, exit status 1 or a line that says what there is."""
    code, text = train(*SEARCH[:2], "optim.lr=interval(-2.0,-1.0)", "sweep.trials=2", folder=tmp_path)
    assert code == 1, text
    assert states(tmp_path) == ["refused", "refused"]
    assert "Traceback" not in text
    code, text = train(*SEARCH[:3], "sweep.trials=1", "name=other", folder=tmp_path)
    assert "sweep.objective: test/bits_per_dim is no figure of job 0; allowed are " in text
    assert "train/loss" in read(tmp_path / "output.txt")


def test_optuna_with_jobs_on_two_processes(tmp_path):
    child = shell(["train.py", *SMALL, *SEARCH, "sweep.trials=2", *TWO], tmp_path)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stdout + stderr
    assert states(tmp_path) == ["done", "done"]
    values = [trial.value for trial in trials(the_sweep(tmp_path))]
    assert len(set(values)) == 2
    assert f"best train/loss: {min(values):.4g}" in stdout
    assert not processes_of(tmp_path)
