"""How a run ends: exit code, status.json, what is said; with real errors, signals, divergence and full disks."""

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from difflab.runs.frame import Terminated, verdict
from difflab.training.callbacks.stop import Stopped

sys.path.insert(0, str(Path(__file__).parent))
from children import (
    SIGINT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    SMALL,
    failing,
    no_room_for_checkpoints,
    poisoned,
    read,
    run_folder,
    shell,
    signalled_twice,
    signalled_while_it_ends,
    start,
    train,
    under_slurm,
    waiting,
)
from sameness import assert_same_checkpoint

pytestmark = pytest.mark.slow  # whole runs in processes of their own


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def steps_of(run: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step_")) for path in (run / "checkpoints").glob("step_*"))


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def tensors(node) -> list[torch.Tensor]:
    if isinstance(node, torch.Tensor):
        return [node]
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return [tensor for value in values for tensor in tensors(value)]


def assert_good_checkpoints(run: Path, steps: list[int]) -> None:
    """These and the best, and no other files, each whole and finite, the newest of them also as last.ckpt."""
    names = {p.name for p in (run / "checkpoints").iterdir()} - {"best.ckpt"}
    assert names == {"last.ckpt", *(f"step_{s:06d}.ckpt" for s in steps)}
    for path in (run / "checkpoints").iterdir():
        content = load(path)
        kept = [content[key] for key in ("state_dict", "current_model_state", "optimizer_states")]
        assert all(tensor.isfinite().all() for tensor in tensors(kept)), path
    assert load(run / "checkpoints" / "last.ckpt")["global_step"] == steps[-1]


def test_done(tmp_path):
    code, text = train(folder=tmp_path)
    assert code == 0, text
    assert status(run_folder(tmp_path)).items() >= {"state": "done", "reason": "", "exit": 0}.items()
    assert not read(tmp_path / "errors.txt")


def test_a_failure_inside_is_one_line_on_the_terminal_and_a_traceback_in_run_log(tmp_path):
    """A ValueError that is no refusal is a failure."""
    code, _ = train(folder=tmp_path, prepare=partial(failing, 4))
    run = run_folder(tmp_path)
    assert code == 1
    expected = f"error: ValueError: two things went wrong; traceback in {run / 'run.log'}\n"
    assert read(tmp_path / "errors.txt") == expected
    log = (run / "run.log").read_text()
    assert "Traceback" in log and "in broken" in log
    assert status(run).items() >= {"state": "failed", "exit": 1}.items()
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert status(run)["state"] == "done"


@pytest.mark.parametrize("where", ["data", "training"])
@pytest.mark.parametrize(("signum", "code", "state"), [(SIGINT, 130, "interrupted"), (SIGTERM, 143, "preempted")])
def test_a_signal_before_the_first_step_is_over(where, signum, code, state, tmp_path):
    """While the data are read nothing is saved; the first step is finished and saved."""
    ended, text = train(folder=tmp_path, kill=(where, 0, signum))
    assert ended == code, text
    assert "Traceback" not in text
    run = run_folder(tmp_path)
    assert status(run).items() >= {"state": state, "exit": code}.items()
    assert steps_of(run) == ([1] if where == "training" else [])


def test_an_interruption_before_there_is_a_folder(tmp_path):
    code, text = train(folder=tmp_path, kill=("command line", 0, SIGINT))
    assert (code, text) == (130, "interrupted\n")
    assert not (tmp_path / "outputs").exists()


def test_a_second_signal_stops_at_once(tmp_path):
    code, text = train(folder=tmp_path, prepare=partial(signalled_twice, 4, SIGTERM))
    assert code == 143, text
    run = run_folder(tmp_path)
    assert "at once" in status(run)["reason"]
    assert_good_checkpoints(run, [3])
    assert train(f"resume={run}", folder=tmp_path)[0] == 0


@pytest.mark.parametrize("then", [SIGINT, SIGTERM, SIGUSR1])
def test_a_signal_that_comes_while_a_stopped_run_ends_changes_nothing(then, tmp_path):
    """As from a sweep that passes Ctrl-C on, or from a user who has no patience."""
    code, text = train(folder=tmp_path, prepare=partial(signalled_while_it_ends, 4, SIGINT, then))
    assert code == 130, text
    run = run_folder(tmp_path)
    assert status(run).items() >= {"state": "interrupted", "exit": 130}.items()
    assert status(run)["reason"] == "stopped by SIGINT after step 5, which is saved"
    assert_good_checkpoints(run, [3, 5])


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code", "state"), [(SIGINT, 130, "interrupted"), (SIGTERM, 143, "preempted")])
def test_signals_through_the_command_line(signum, code, state, tmp_path):
    """`python train.py` as users start it; the signal comes when a checkpoint shows that it trains."""
    settings = [item for item in SMALL if not item.startswith("trainer.max_steps")]
    child = shell(["train.py", *settings, "trainer.max_steps=100000000"], tmp_path)
    while child.poll() is None and not list(tmp_path.glob("outputs/runs/test/*/checkpoints/last.ckpt")):
        time.sleep(0.05)
    os.killpg(child.pid, signum)  # as a terminal does
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == code, stderr
    assert "Traceback" not in stderr
    run = run_folder(tmp_path)
    assert status(run).items() >= {"state": state, "exit": code}.items()
    saved = load(run / "checkpoints" / "last.ckpt")["global_step"]
    assert f"after step {saved}, which is saved" in status(run)["reason"]
    code, text = train(f"resume={run}", f"trainer.max_steps={saved + 2}", folder=tmp_path)
    assert code == 0, text
    assert load(run / "checkpoints" / "last.ckpt")["global_step"] == saved + 2
    assert status(run)["state"] == "done"


@pytest.mark.parametrize("options", [(), ("trainer.accumulate_grad_batches=2",), ("trainer.log_every_n_steps=50",)])
def test_a_loss_that_is_not_a_number_stops_the_run(options, tmp_path):
    code, _ = train(*options, folder=tmp_path, prepare=partial(poisoned, 5))
    assert code == 1
    run = run_folder(tmp_path)
    (line,) = read(tmp_path / "errors.txt").splitlines()
    assert "the loss is nan at step 5" in line
    assert f"last good checkpoint: {run / 'checkpoints' / 'step_000003.ckpt'}" in line
    assert status(run)["state"] == "failed"
    assert_good_checkpoints(run, [3])
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text


def test_after_a_resume_the_last_good_checkpoint_is_the_one_it_started_from(tmp_path):
    assert train(folder=tmp_path, kill=("training", 4, SIGTERM))[0] == 143
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", folder=tmp_path, prepare=partial(poisoned, 6))
    assert code == 1
    assert "the loss is nan at step 6" in text
    assert f"last good checkpoint: {run / 'checkpoints' / 'last.ckpt'}" in text
    assert_good_checkpoints(run, [3, 5])


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("lr", ["1e6", "1e30"])
def test_divergence_is_told_and_leaves_finite_checkpoints(lr, every, tmp_path):
    """A learning rate far too high: the loss overflows, or the weights do before a loss shows it."""
    wild = (f"optim.lr={lr}", "optim.warmup_steps=0", "trainer.gradient_clip_val=null", f"checkpoints.every={every}")
    assert train(*wild, "trainer.max_steps=60", folder=tmp_path)[0] == 1
    run = run_folder(tmp_path)
    (line,) = read(tmp_path / "errors.txt").splitlines()
    found = r"the (loss|gradient norm) is (nan|inf) at step \d+|the state is not finite after step \d+, of loss"
    assert re.search(found, line)
    steps = steps_of(run)
    if every == 1:
        assert steps
        assert_good_checkpoints(run, steps)
    last = run / "checkpoints" / f"step_{steps[-1]:06d}.ckpt" if steps else "none yet"
    assert f"last good checkpoint: {last};" in line


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path):
    code, _ = train(folder=tmp_path, prepare=partial(no_room_for_checkpoints, 6))
    assert code == 1
    run = run_folder(tmp_path)
    (line,) = read(tmp_path / "errors.txt").splitlines()
    assert "step_000006.ckpt could not be written (File too large)" in line
    assert f"last good checkpoint: {run / 'checkpoints' / 'step_000003.ckpt'}" in line
    assert status(run)["state"] == "failed"
    assert_good_checkpoints(run, [3])
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_good_checkpoints(run, [6, 9, 12])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, small_disk):
    outputs = f"outputs={small_disk}"
    large = ("model.width=64", "checkpoints.every=1", "checkpoints.keep=100", "trainer.max_steps=40")
    code, text = train(*large, outputs, folder=tmp_path)
    assert code == 1
    (run,) = (small_disk / "runs" / "test").iterdir()
    warning, line = read(tmp_path / "errors.txt").splitlines()
    assert re.fullmatch(r"WARNING: checkpoints: [\d.]+ MB more to come, [\d.]+ MB free: checkpoints.keep=100", warning)
    assert re.search(r"checkpoints: [\d.]+ kB each, at most 41 of them, in ", text)
    assert "could not be written (No space left on device)" in line
    steps = steps_of(run)
    assert 1 < len(steps) < 40
    assert re.search(rf"(step_{steps[-1] + 1:06d}|best)\.ckpt could not", line)
    assert_good_checkpoints(run, steps)
    assert status(run)["state"] == "failed"
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_good_checkpoints(run, list(range(1, 41)))


def test_a_second_process_does_not_write_into_the_folder(tmp_path):
    entered, go = tmp_path / "entered", tmp_path / "go"
    first = start("train", SMALL, tmp_path, prepare=partial(waiting, 5, entered, go))
    try:
        while first.is_alive() and not entered.exists():
            time.sleep(0.01)
        run = run_folder(tmp_path)
        before = {name: read(run / name) for name in ("status.json", "run.log", "metrics.csv", "config.yaml")}
        errors = len(read(tmp_path / "errors.txt"))
        code, _ = train(f"resume={run}", folder=tmp_path)
        assert code == 2
        message = read(tmp_path / "errors.txt")[errors:]
        assert message.startswith("refused: resume: another process is writing to") and str(run) in message
        assert before == {name: read(run / name) for name in before}
    finally:
        go.touch()
        first.join()
    assert first.exitcode == 0
    assert status(run)["state"] == "done"


@pytest.mark.parametrize("signum", [SIGUSR1, SIGUSR2])
def test_the_warning_of_a_cluster(signum, tmp_path):
    """A checkpoint and 143, however often it comes; nothing of Lightning's own; who listened before listens again."""
    told = tmp_path / "told"
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"what another program has left for SLURM")
    code, text = train(folder=tmp_path, prepare=partial(under_slurm, 4, signum, told))
    assert code == 143, text
    run = run_folder(tmp_path)
    assert status(run).items() >= {"state": "preempted", "exit": 143}.items()
    assert status(run)["reason"] == f"stopped by {signum.name} after step 5, which is saved"
    assert read(told).split() == [str(int(signum))]
    assert_good_checkpoints(run, [3, 5])
    assert [path.name for path in tmp_path.rglob("hpc*")] == ["hpc_ckpt_1.ckpt"]


def test_a_budget_of_time_is_the_whole_run_s(tmp_path):
    """It ends training, not the run; without a longer one there is nothing to do but to evaluate again."""
    timed = ("trainer.max_steps=100000000", "optim.final_share=1", "trainer.accumulate_grad_batches=2")
    code, text = train(*timed, "trainer.max_time=00:00:00:01", "checkpoints.every=50", folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    done = json.loads((run / "metrics.json").read_text())["train/steps"]
    assert re.search(rf"WARNING: trainer.max_time: used up after step {done} \([\d:]+\); a longer one goes on", text)
    assert load(run / "checkpoints" / "last.ckpt")["global_step"] == done > 0
    assert status(run)["state"] == "done"
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert "WARNING: trainer.max_time: used up by the parts of the run before this one" in text
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == done
    more = done + 3
    code, text = train(f"resume={run}", "trainer.max_time=01:00:00:00", f"trainer.max_steps={more}", folder=tmp_path)
    assert code == 0, text
    assert load(run / "checkpoints" / "last.ckpt")["global_step"] == more
    whole = tmp_path / "whole"
    whole.mkdir()
    code, text = train(*timed, f"trainer.max_steps={more}", "checkpoints.every=50", folder=whole)
    assert code == 0, text
    assert_same_checkpoint(*(folder / "checkpoints" / "last.ckpt" for folder in (run, run_folder(whole))))


@pytest.mark.parametrize("second", [Terminated, KeyboardInterrupt])
def test_one_more_signal_while_a_training_ends_changes_nothing(second):
    """Both of a terminal's Ctrl-C and the launcher's SIGTERM reach a worker."""
    with pytest.raises(second) as ended:
        try:
            raise Stopped(SIGINT, "after step 20, which is saved")
        finally:
            raise second
    assert verdict(ended.value) == (130, "stopped by SIGINT after step 20, which is saved")
    assert verdict(Terminated()) == (143, "terminated")


def test_a_lost_worker_is_named_whatever_was_being_done():
    """inspect makes a TypeError of every error, also of that by which a handler of PyTorch tells of a worker."""
    error = TypeError("unsupported callable")
    error.__cause__ = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    assert verdict(error) == (1, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.")
    error.__cause__ = RuntimeError("another")
    assert verdict(error) == (1, "TypeError: unsupported callable")
