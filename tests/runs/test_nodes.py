"""Several machines: processes that somebody else starts find one folder, one config and each other."""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import read, train
from pairs import NODES, Pair, by_hand, by_srun, pair, prepared
from ranks import in_step, terminate

from difflab.runs.processes import cores, is_child, job_stamp

TASKS = ("trainer=ddp", "trainer.devices=2")


@pytest.mark.parametrize(
    ("changes", "child", "stamp"),
    [
        ({}, True, "slurm-4321.0"),
        ({"SLURM_PROCID": "0"}, False, "slurm-4321.0"),
        ({"SLURM_STEP_ID": "3", "SLURM_STEP_NUM_TASKS": None}, True, "slurm-4321.3"),
        ({"SLURM_STEP_ID": None, "SLURM_PROCID": "0"}, False, None),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False, None),
        ({"SLURM_JOB_NAME": "interactive", "SLURM_PROCID": "0"}, False, None),
        ({"SLURM_STEP_NUM_TASKS": "1", "LOCAL_RANK": "1"}, True, None),
    ],
    ids=["second task", "first task", "second step", "batch script", "one task", "shell", "child of one task"],
)
def test_srun_says_which_process_this_is(monkeypatch, changes, child, stamp):
    for name, value in (by_srun(1, "1") | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert (is_child(), job_stamp()) == (child, stamp)


@pytest.mark.parametrize(
    ("variables", "child"),
    [
        ({}, False),
        ({"NODE_RANK": "0", "LOCAL_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, True),
        ({"LOCAL_RANK": "1"}, True),
    ],
)
def test_so_do_the_variables_of_lightning(monkeypatch, variables, child):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (is_child(), job_stamp()) == (child, None)


def test_processes_share_the_cores_of_their_machine(monkeypatch):
    usable = len(os.sched_getaffinity(0))
    assert (cores(1), cores(2), cores(10**6)) == (usable, max(1, usable // 2), 1)
    for name, value in (by_srun(1, "1") | {"SLURM_CPUS_PER_TASK": "7"}).items():
        monkeypatch.setenv(name, value)
    assert cores(2) == 7


@pytest.mark.slow
def test_two_nodes_write_one_folder_and_a_signal_to_the_second_stops_both(tmp_path):
    run = tmp_path / "run"
    stop = partial(in_step, 7, terminate)
    ended = pair(folder=tmp_path, then=(None, stop))
    assert [code for code, _ in ended] == [143, 143], ended
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["exit"]) == ("preempted", 143)
    for own in (tmp_path / "0", tmp_path / "1"):
        assert {path.name for path in own.iterdir()} <= {"output.txt", "errors.txt", "cache"}
    assert sorted(path.name for path in (run / ".hydra").iterdir()) == [
        "config.yaml",
        "hydra.yaml",
        "lock",
        "overrides.yaml",
    ]
    ended = Pair(f"resume={run}", folder=tmp_path).end()
    assert [code for code, _ in ended] == [0, 0], ended
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 12
    assert "final figures" in ended[0][1] and "final figures" not in ended[1][1]
    assert len(list((run / ".hydra").glob("resume-*"))) == 1


@pytest.mark.slow
def test_tasks_of_srun_find_one_folder_by_the_job_and_again_when_it_is_queued_again(tmp_path):
    outputs, run = f"outputs={tmp_path / 'outputs'}", tmp_path / "outputs" / "runs" / "test" / "slurm-4321.0"
    warned = (("training", 5, signal.SIGUSR1), None)
    ended = Pair(*TASKS, outputs, folder=tmp_path, place=by_srun, kill=warned).end()
    assert [code for code, _ in ended] == [143, 143], ended
    assert json.loads((run / "status.json").read_text())["state"] == "preempted"
    ended = Pair(*TASKS, outputs, folder=tmp_path, place=by_srun).end()
    assert [code for code, _ in ended] == [0, 0], ended
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    steps = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()]
    assert steps == ["step", *map(str, range(2, 13, 2))]
    assert read(tmp_path / "1" / "output.txt") == read(tmp_path / "1" / "errors.txt") == ""


@pytest.mark.slow
def test_what_would_be_several_jobs_is_refused(tmp_path):
    """Each with one line that names the field."""

    def refused(*arguments: str, environment: dict[str, str]) -> str:
        code, text = train(*arguments, folder=tmp_path, prepare=partial(prepared, environment, None))
        assert code == 2, text
        return text

    for rank in (0, 1):
        text = refused(*NODES, environment=by_hand(rank, "1"))
        assert text.startswith("refused: hydra.run.dir: not given") and len(text.splitlines()) == 1
    text = refused(*NODES, "hydra.run.dir=there", environment={"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"})
    assert text.startswith("refused: trainer.num_nodes: 2, and the environment has no MASTER_PORT")
    text = refused("trainer=ddp", "hydra.run.dir=there", environment=by_hand(1, "1"))
    assert text.startswith("refused: trainer.num_nodes: 1; this is node 1 (NODE_RANK)")
    for options in ((), ("trainer=ddp", "trainer.devices=4"), NODES):
        text = refused(*options, environment=by_srun(0, "1"))
        assert text.startswith("refused: trainer.devices: ") and "srun has started 2 on 1 node" in text
    without = {k: v for k, v in by_srun(0, "1").items() if k != "SLURM_NTASKS_PER_NODE"}
    assert "--ntasks-per-node" in refused(*TASKS, environment=without)
    text = refused(*TASKS, environment=by_srun(1, "1", tasks=4))  # the first task says it
    assert text == ""
