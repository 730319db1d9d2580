"""What happens around a run: disks, data and folders that go away, and processes that are killed."""

import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import (
    SIGTERM,
    SMALL,
    at_step,
    fill,
    read,
    read_only,
    remove,
    run_folder,
    start,
    train,
    waiting_with_workers,
)
from tiny_data import pictures

pytestmark = pytest.mark.slow  # whole runs in processes of their own


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of a megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path))
    yield path
    while subprocess.run(["umount", "-l", str(path)], capture_output=True).returncode == 0:  # once for each mount
        pass


def errors(folder: Path) -> list[str]:
    return read(folder / "errors.txt").splitlines()


def assert_last_good(run: Path, step: int) -> None:
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step
    assert not list((run / "checkpoints").glob("*.unfinished"))


def test_a_run_on_a_disk_that_is_read_only_by_now(tmp_path, disk):
    """It stops, as another attempt does at once, until there is a disk to write to."""
    code, _ = train(f"outputs={disk}", folder=tmp_path, prepare=partial(at_step, 7, partial(read_only, disk)))
    assert code == 1
    (run,) = (disk / "runs" / "test").iterdir()
    (line,) = errors(tmp_path)
    assert "metrics.csv could not be written (Read-only file system)" in line
    assert_last_good(run, 6)
    code, _ = train(f"resume={run}", folder=tmp_path)
    assert code
    _, line = errors(tmp_path)
    assert "Read-only file system" in line and str(run) in line
    subprocess.run(["umount", str(disk)], check=True)
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_last_good(run, 12)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "metrics.csv"),
        (("trainer.log_every_n_steps=100", "metrics=default", "metrics.every=8"), "samples/step_000008.png"),
    ],
)
def test_a_disk_that_is_full_at_a_step(options, name, tmp_path, disk):
    more = ("metrics.distances=null", "metrics.budget=1", "metrics.likelihood=false") if options else ()
    at_seven = partial(at_step, 7, partial(fill, disk))
    code, _ = train(*options, *more, f"outputs={disk}", folder=tmp_path, prepare=at_seven)
    assert code == 1
    (run,) = (disk / "runs" / "test").iterdir()
    (line,) = errors(tmp_path)
    assert f"{name} could not be written (No space left on device)" in line
    assert_last_good(run, 6)
    (disk / "filler").unlink()
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_last_good(run, 12)


def test_data_that_are_deleted_during_training_are_in_memory(tmp_path):
    """And so are the features of the reference."""
    folder = pictures(tmp_path / "pictures", n=80, side=8, classes=("a", "b"))
    figures = (
        "metrics=default",
        "metrics.samples=20",
        "metrics.draws=1",
        "metrics.images=8",
        "sampler.steps=4",
        "metrics.force=true",
    )
    options = ("data=image_folder", f"data.root={folder}", "data.size=8", "data.val_size=8", "features.steps=4")
    gone = partial(remove, folder, tmp_path / "cache")
    code, text = train(*options, *figures, folder=tmp_path, prepare=partial(at_step, 5, gone))
    assert code == 0, text
    assert not folder.exists()
    assert "test/fd_classifier" in json.loads((run_folder(tmp_path) / "metrics.json").read_text())


def test_a_run_folder_that_is_deleted_during_training(tmp_path):
    code, _ = train(folder=tmp_path, prepare=partial(at_step, 7, partial(remove, tmp_path / "outputs")))
    assert code == 1
    (line,) = errors(tmp_path)
    assert "metrics.csv could not be written (No such file or directory)" in line
    assert not (tmp_path / "outputs").exists()


@pytest.fixture
def with_workers(tmp_path):
    """A run that waits in the middle of step 8, its two workers, and the file that lets it go on."""
    entered, go = tmp_path / "entered", tmp_path / "go"
    child = start("train", [*SMALL, "data.workers=2"], tmp_path, prepare=partial(waiting_with_workers, 7, entered, go))
    while child.is_alive() and not entered.exists():
        time.sleep(0.01)
    workers = psutil.Process(child.pid).children()
    assert len(workers) == 2
    yield child, workers, go
    child.kill()
    for worker in workers:
        if worker.is_running():
            worker.kill()


def test_a_worker_that_is_killed(tmp_path, with_workers):
    child, workers, go = with_workers
    workers[0].kill()
    go.touch()
    child.join(60)
    assert child.exitcode == 1
    (line,) = errors(tmp_path)
    assert re.search(rf"DataLoader worker \(.*\b{workers[0].pid}\) (is killed by signal|exited unexpectedly)", line)
    run = run_folder(tmp_path)
    assert json.loads((run / "status.json").read_text())["state"] == "failed"
    assert_last_good(run, 6)
    assert not any(worker.is_running() for worker in workers)


def test_a_signal_to_all_processes_of_a_run_with_workers(tmp_path, with_workers):
    """A cluster tells all of them: workers go on until the step is done and saved."""
    child, workers, go = with_workers
    for process in (*workers, psutil.Process(child.pid)):
        process.send_signal(SIGTERM)
    go.touch()
    child.join(60)
    assert child.exitcode == 143, errors(tmp_path)
    assert_last_good(run_folder(tmp_path), 8)
    assert not any(worker.is_running() for worker in workers)
