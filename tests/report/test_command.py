"""scripts/report.py as users start it: its files, its refusals, and a report that follows a sweep."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import REPOSITORY, shell
from folders import make_run, make_sweep

pytestmark = pytest.mark.slow  # processes of their own

ENDINGS = {"html", "md", "csv", "tex", "json"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two schedules by three seeds."""
    folder = tmp_path_factory.mktemp("command") / "sweep"
    return make_sweep(folder, {"schedule": ("linear", "cosine")}, effect={"schedule=cosine": -0.1})


def report(*arguments: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    child = shell(["scripts/report.py", *arguments], folder, **environment)
    stdout, stderr = child.communicate(timeout=60)
    return child.returncode, stdout, stderr


def test_a_sweep_becomes_five_files_without_torch(sweep, tmp_path):
    for name in ("torch", "lightning", "torchvision"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY / "src")))
    code, stdout, stderr = report(f"runs={sweep}", folder=tmp_path, PYTHONPATH=path)
    assert code == 0, stderr
    assert {file.name for file in (sweep / "report").iterdir()} == {f"report.{end}" for end in ENDINGS}
    assert all(str(sweep / "report" / f"report.{end}") in stdout for end in ENDINGS)
    assert "- schedule: cosine lowers bits/dim by 0." in stdout and "(n = 3 seeds, 1 setting), p" in stdout
    plain = json.loads((sweep / "report" / "report.json").read_text())
    assert plain["command"] == f"python scripts/report.py runs={sweep}"
    assert [run["state"] for run in plain["runs"]] == ["done"] * 6
    assert not (tmp_path / "outputs").exists() and not (tmp_path / ".hydra").exists()


def test_several_folders_have_a_report_of_their_own(sweep, tmp_path):
    code, stdout, stderr = report(
        f"runs=[{sweep / '0'},{sweep / '3'}]", "figures=[test/fd_classifier]", folder=tmp_path
    )
    assert code == 0, stderr
    (folder,) = (tmp_path / "outputs" / "reports").iterdir()
    plain = json.loads((folder / "report.json").read_text())
    assert [metric["key"] for metric in plain["metrics"]] == ["test/fd_classifier"]
    assert len(plain["runs"]) == 2 and plain["pairs"] == [] and "too few runs" in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "refused: runs: null; allowed are folders of runs"),
        (["runs=/nowhere"], "refused: runs: /nowhere names no run"),
        (["runs=SWEEP", "figures=[test/fd_classifer]"], "refused: figures: test/fd_classifer is in none of the runs"),
        (["runs=SWEEP", "watch=true", "every=0"], "refused: every: 0; allowed are positive numbers"),
        (["runs=[]"], "refused: runs: []; allowed are folders of runs"),
        (["runs=SWEEP", "out=SWEEP/sweep.json"], "refused: out: SWEEP/sweep.json (File exists); allowed are folders"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, sweep, tmp_path):
    code, stdout, stderr = report(*(a.replace("SWEEP", str(sweep)) for a in arguments), folder=tmp_path)
    assert (
        code == 2 and stderr.startswith(message.replace("SWEEP", str(sweep))) and stderr.count("\n") == 1 and not stdout
    ), stderr
    assert not list(tmp_path.iterdir())


def until(condition: Callable[[], Any]) -> None:
    """Wait for it, at most half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def told(folder: Path) -> dict[str, Any]:
    """report.json; empty before there is one. It is never a part of one."""
    path = folder / "report" / "report.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_it_follows_a_sweep_to_its_end(tmp_path):
    """A job ends, the next begins later, the sweep ends: the processes that hold the folders are this one."""
    sweep = make_sweep(tmp_path / "sweep", {"loss": ("simple",)}, (0, 1), states={1: ("missing", "")}, picture=False)
    (sweep / ".hydra").mkdir()
    whole = FileLock(sweep / ".hydra" / "lock")
    whole.acquire()
    child = shell(["scripts/report.py", f"runs={sweep}", "watch=true", "every=0.1"], tmp_path)
    try:
        until(lambda: told(sweep))
        assert [run["state"] for run in told(sweep)["runs"]] == ["done", "missing"]
        assert child.poll() is None  # the sweep is at work, though none of its jobs is
        make_run(sweep / "1", settings={"loss": "simple"}, seed=1, state="running", status={"host": gethostname()})
        job = FileLock(sweep / "1" / ".hydra" / "lock")
        job.acquire()
        until(lambda: told(sweep)["runs"][1]["state"] == "running")
        assert told(sweep)["running"] and told(sweep)["cells"][0]["n"] == 1
        done = make_run(tmp_path / "done", settings={"loss": "simple"}, seed=1)
        for name in ("metrics.json", "metrics.csv", "status.json"):
            shutil.copy(done / name, sweep / "1" / name)
        job.release()
        until(lambda: told(sweep)["cells"][0]["n"] == 2)
        assert not told(sweep)["running"] and child.poll() is None
        whole.release()
        stdout, stderr = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 0 and not stderr, stderr
    assert stdout.count("- bits/dim: ") >= 2


def test_it_sees_that_a_process_is_gone(tmp_path):
    """Nothing in the folder changes where a run is killed but that nobody holds it any more."""
    run = make_run(tmp_path / "run", state="running", status={"host": gethostname()}, picture=False)
    lock = FileLock(run / ".hydra" / "lock")
    lock.acquire()
    child = shell(["scripts/report.py", f"runs={run}", "watch=true", "every=0.1"], tmp_path)
    try:
        until(lambda: told(run).get("running"))
        lock.release()
        _, stderr = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 0, stderr
    assert [(r["state"], r["reason"]) for r in told(run)["runs"]] == [("failed", "its process is gone")]


def test_ctrl_c_ends_it_with_its_files_whole(tmp_path):
    run = make_run(tmp_path / "run", state="running", status={"host": "elsewhere"}, picture=False)
    child = shell(["scripts/report.py", f"runs={run}", "watch=true", "every=0.1"], tmp_path)
    try:
        until(lambda: told(run) and (run / "report" / "report.html").exists())
        with (run / "metrics.csv").open("a") as file:
            file.write("\n")
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 130 and stderr.strip() == "interrupted", stderr
    assert told(run)["running"] and {file.name for file in (run / "report").iterdir()} == {
        f"report.{e}" for e in ENDINGS
    }
