"""Sweeps: a folder for each job, a record of all, and nothing that one job leaves to the next."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGTERM, SMALL, read, run_folder, script, train

pytestmark = pytest.mark.slow  # whole runs in processes of their own


def sweep_folder(folder: Path) -> Path:
    (found,) = (folder / "outputs" / "sweeps" / "test").iterdir()
    return found


def jobs(folder: Path) -> list[dict]:
    return json.loads((sweep_folder(folder) / "sweep.json").read_text())["jobs"]


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Path:
    """Four jobs; dropout, so that they draw random numbers in the network too."""
    folder = tmp_path_factory.mktemp("four")
    sweep = ("schedule=linear,cosine", "seed=0,1", "trainer.max_steps=4", "model.dropout=0.1")
    code, text = train("-m", *sweep, folder=folder)
    assert code == 0, text
    return folder


def test_four_jobs_have_a_folder_each(four):
    sweep = sweep_folder(four)
    assert sorted(path.name for path in sweep.glob("[0-9]*")) == ["0", "1", "2", "3"]
    seen = []
    for job in range(4):
        figures = json.loads((sweep / str(job) / "metrics.json").read_text())
        assert json.loads((sweep / str(job) / "status.json").read_text())["state"] == "done"
        assert figures["train/steps"] == 4
        config = (sweep / str(job) / "config.yaml").read_text()
        seen.append(("Cosine" if "schedules.Cosine" in config else "Linear", figures["seed"]))
    assert seen == [("Linear", 0), ("Linear", 1), ("Cosine", 0), ("Cosine", 1)]
    assert [job["state"] for job in jobs(four)] == ["done"] * 4
    assert [job["job"] for job in jobs(four)] == [0, 1, 2, 3]
    assert {"schedule=cosine", "seed=1"} <= set(jobs(four)[3]["overrides"])
    assert not (four / "outputs" / "runs").exists()


def test_a_sweep_says_what_it_will_do_what_each_job_has_come_to_and_shows_all_of_them(four):
    lines = read(four / "output.txt").splitlines()
    assert lines[:3] == [f"sweep: 4 jobs in {sweep_folder(four)}", "  schedule  linear,cosine", "  seed      0,1"]
    told = [line for line in lines if line.startswith("job ")]
    for number, line in enumerate(told):
        loss = json.loads((sweep_folder(four) / str(number) / "metrics.json").read_text())["train/loss"]
        settings = f"schedule={('linear', 'cosine')[number // 2]} seed={number % 2}"
        assert line.startswith(f"job {number} done in 0:00:0") and f"({number + 1} of 4" in line
        assert f": {settings}  " in line and line.endswith(f"train/loss {loss:.4g}")
    assert ["left" in line for line in told] == [True, True, True, False]
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[:4] for row in table] == [
        ["0", "linear", "0", "done"],
        ["1", "linear", "1", "done"],
        ["2", "cosine", "0", "done"],
        ["3", "cosine", "1", "done"],
    ]
    assert "final figures" in (sweep_folder(four) / "3" / "output.txt").read_text()  # the job's own words


def test_a_sweep_is_named_by_data_and_model_like_a_run(tmp_path):
    unnamed = [item for item in SMALL if not item.startswith(("name=", "trainer.max_steps="))]
    code, text = script("train", ["-m", *unnamed, "seed=0,1", "trainer.max_steps=1"], tmp_path)
    assert code == 0, text
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "digits_mlp").iterdir()
    assert (sweep / "sweep.json").is_file() and (sweep / "1" / "metrics.json").is_file()
    assert "name: digits_mlp" in (sweep / "1" / "config.yaml").read_text()


def test_a_job_has_the_bits_of_the_same_run_alone(four, tmp_path):
    code, text = train("schedule=cosine", "seed=1", "trainer.max_steps=4", "model.dropout=0.1", folder=tmp_path)
    assert code == 0, text
    runs = (sweep_folder(four) / "3", run_folder(tmp_path))
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in other[part])
    assert one["state_dict"].keys() == other["state_dict"].keys()
    losses = []
    for run in runs:
        with (run / "metrics.csv").open() as file:
            losses.append([(row["step"], row["train/loss"], row["val/loss"]) for row in csv.DictReader(file)])
    assert losses[0] == losses[1]


def test_a_job_of_a_sweep_resumes_in_its_folder(four):
    run = sweep_folder(four) / "1"
    code, text = train(f"resume={run}", "trainer.max_steps=5", folder=four)
    assert code == 0, text
    assert json.loads((run / "metrics.json").read_text())["train/steps"] == 5


def test_refused_and_failed_jobs_are_recorded_and_the_sweep_goes_on(tmp_path):
    """A network that does not fit the image, and one whose loss overflows at once, between two that run."""
    unet = ("model=unet", "model.channels=8", "model.multipliers=[1,2],[1,2,2,2,2]", "optim.lr=1e-3,1e38")
    small = ("trainer.max_steps=2", "metrics=none", "data.batch_size=8", "trainer.accelerator=cpu", "name=test")
    code, _ = script("train", ["-m", *unet, *small, "optim.warmup_steps=0", "trainer.gradient_clip_val=null"], tmp_path)
    assert code == 1
    assert [job["state"] for job in jobs(tmp_path)] == ["done", "failed", "refused", "refused"]
    assert "not finite" in jobs(tmp_path)[1]["reason"] or "the loss is" in jobs(tmp_path)[1]["reason"]
    assert "model.multipliers: 5 levels" in jobs(tmp_path)[2]["reason"]
    states = [json.loads((sweep_folder(tmp_path) / str(job) / "status.json").read_text())["state"] for job in range(4)]
    assert states == [job["state"] for job in jobs(tmp_path)]
    left = {path.name for path in (sweep_folder(tmp_path) / "2").iterdir()}
    assert left <= {".hydra", "run.log", "status.json"}


def test_one_refused_job_is_a_sweep_that_did_not_end_well(tmp_path):
    code, _ = train("-m", "optim.lr=-1", folder=tmp_path)
    assert code == 1
    assert [job["state"] for job in jobs(tmp_path)] == ["refused"]


def test_what_does_not_compose_refuses_the_sweep_before_its_first_job(tmp_path):
    code, _ = train("schedule=linear,nope", "-m", folder=tmp_path)
    assert code == 2
    assert read(tmp_path / "errors.txt").startswith("refused: schedule: nope; allowed are cosine, flow")
    assert not list(tmp_path.glob("outputs/sweeps/test/*/0"))


def test_a_signal_ends_the_sweep_and_is_recorded(tmp_path):
    code, _ = train("-m", "seed=0,1", folder=tmp_path, kill=("training", 4, SIGTERM))
    assert code == 143
    assert [job["state"] for job in jobs(tmp_path)] == ["preempted", "missing"]
    run = sweep_folder(tmp_path) / "0"
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5
    assert not (sweep_folder(tmp_path) / "1").exists()
