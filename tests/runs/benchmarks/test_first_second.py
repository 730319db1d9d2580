"""The waits that the table tells of are those of the processes that it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from difflab.runs.benchmarks.first_second import REACHED, STEP, ended, rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import REPOSITORY

LATE = {"sklearn", "pandas", "joblib", "wandb", "tensorboard", "optuna", "diffusers", "datasets", "plotly"}


def test_the_first_step_is_counted_from_the_imports():
    help_, config, step = rows({"--help": 1.0, "--cfg job": 1.6, "imports": 4.0, "first step": 5.0}, "in turn")
    assert [row.ours for row in (help_, config, step)] == [1.0, 1.6, 5.0]
    assert [row.met for row in (help_, config, step)] == [True, False, True]
    assert (step.peer, step.ratio) == (4.0, 1.25)
    assert "1.00 s more" in step.how


def test_a_process_that_ends_otherwise_was_not_measured():
    ended(["-c", "raise SystemExit(3)"], 3)
    with pytest.raises(RuntimeError, match=r"ended with 1: .*went wrong"):
        ended(["-c", "raise SystemExit('went wrong')"], 0)


@pytest.mark.slow
def test_the_first_step_is_reached_and_waits_for_nothing_that_it_does_not_need(tmp_path):
    telling = STEP.replace("lambda *_: ", f"lambda *_: print({LATE} & sys.modules.keys(), flush=True) or ")
    done = subprocess.run(
        [sys.executable, "-c", telling, "metrics=none", f"outputs={tmp_path}"],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == REACHED, done.stdout + done.stderr
    assert done.stdout.endswith("set()\n")
    assert (next(tmp_path.glob("runs/*/*")) / "config.yaml").exists()
