"""trainer=fsdp: two processes share out a network that one process could train."""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import run_folder, script, shell, train
from test_resume import assert_same_run

from difflab import load_run

pytestmark = pytest.mark.slow  # whole runs in processes of their own

TWO = ("trainer=fsdp", "trainer.devices=2", "trainer.strategy.block=1")
OPTIONS = (
    "model.channels=8",
    "model.groups=4",
    "trainer.max_steps=16",
    "trainer.val_check_interval=8",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "trainer.accumulate_grad_batches=2",
    "checkpoints.every=4",
    "data.batch_size=32",
    "ema=power",
    "ema.lengths=[0.1,0.05]",
    "ema.snapshot_every=6",
    "metrics=default",
    "metrics.draws=1",
    "metrics.samples=40",
    "metrics.every=8",
    "metrics.budget=1",
    "generation.chunk=16",  # three chunks: the two processes sample unequal numbers of them
    "sampler.steps=4",
    "features.steps=20",
    "name=test",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing interrupted."""
    folder = tmp_path_factory.mktemp("two")
    code, text = script("train", [*OPTIONS, *TWO], folder)
    assert code == 0, text
    return run_folder(folder)


def saved(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def rows(run: Path, column: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def test_it_trains_and_scores_as_one_process_does(tmp_path, run):
    code, text = script("train", OPTIONS, tmp_path)
    assert code == 0, text
    alone = run_folder(tmp_path)
    assert len(rows(run, "train/loss")) == 16
    for column in ("train/loss", "train/grad_norm", "val/loss", "val/bits_per_dim"):
        assert rows(run, column) == pytest.approx(rows(alone, column), rel=1e-4), column
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (run, alone)]
    assert figures[0].keys() == figures[1].keys()
    for name in ("test/bits_per_dim", "test/fd_classifier", "model/parameters", "train/steps"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-4)
    assert (run / "samples" / "step_000008.png").exists()
    two, one = saved(run), saved(alone)
    assert two.keys() == one.keys()
    states = [[c["state_dict"], c["current_model_state"], *c["averages"].values()] for c in (two, one)]
    assert len(states[0]) == len(states[1]) == 3
    for a, b in zip(*states, strict=True):
        assert a.keys() == b.keys()
        for name, w in a.items():
            assert type(w) is torch.Tensor
            torch.testing.assert_close(w, b[name], atol=1e-4, rtol=0)
    assert not all(torch.equal(w, one["current_model_state"][name]) for name, w in two["current_model_state"].items())
    moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (two, one)]
    assert moments[0].keys() == moments[1].keys()
    for i, state in moments[0].items():
        for name, m in state.items():
            torch.testing.assert_close(m, moments[1][i][name], atol=1e-4, rtol=1e-2)
    names = [sorted(path.name for path in (folder / "snapshots").iterdir()) for folder in (run, alone)]
    assert names[0] == names[1] and len(names[0]) == 3


def test_one_process_loads_and_samples_it(tmp_path, run):
    loaded = load_run(run)
    weights = loaded.parts.denoiser.state_dict()
    assert all(torch.equal(w, saved(run)["state_dict"][f"denoiser.{name}"]) for name, w in weights.items())
    assert not torch.equal(load_run(run, ema_length=0.07).sample(2, steps=4), loaded.sample(2, steps=4))
    code, text = script("sample", [f"run={run}", "n=2", "sampler.steps=4", f"out={tmp_path}"], tmp_path)
    assert code == 0, text
    assert list(tmp_path.glob("*.png"))


def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, run):
    child = shell(["train.py", *OPTIONS, *TWO], tmp_path)
    while child.poll() is None and not list(tmp_path.glob("outputs/runs/test/*/checkpoints/step_000004.ckpt")):
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert child.returncode == -9
    cut = run_folder(tmp_path)
    assert saved(cut)["global_step"] < 16
    code, text = train(f"resume={cut}", folder=tmp_path)
    assert code == 0, text
    assert_same_run(run, cut)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("trainer.devices=1",), "trainer.devices: 1; trainer=fsdp shares a network out: allowed are two or more"),
        (("trainer.precision=16-mixed",), "trainer.precision: 16-mixed; trainer=fsdp scales no loss"),
        (("schedule=learned", "loss=vlb"), "schedule: denoiser.schedule.log_snr_min is trained beside the network"),
        (("loss=uncertainty",), "loss: loss.read_out.weight is trained beside the network"),
        (("loss=sliced",), "loss: Sliced differentiates the score"),
        (("trainer.strategy.block=0",), "trainer.strategy.block: 0; allowed are whole numbers from 1"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path, options, words):
    code, text = train(*TWO, *options, folder=tmp_path)
    assert code == 2, text
    assert text.startswith("refused: " + words) and text.count("\n") == 1, text
    assert not (run_folder(tmp_path) / "config.yaml").exists()
