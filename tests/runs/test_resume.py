"""An interrupted run ends with the bits of an uninterrupted one."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGINT, SIGKILL, SIGTERM, run_folder, train
from sameness import assert_same_run

pytestmark = pytest.mark.slow  # whole runs in processes of their own

OPTIONS = ("model.dropout=0.1",)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    code, text = train(*OPTIONS, folder=folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.mark.parametrize(
    ("where", "step", "signum", "code"),
    [
        ("training", 6, SIGKILL, -9),
        ("validation", 8, SIGTERM, 143),
        ("training", 10, SIGINT, 130),
    ],
)
def test_interrupted_run_ends_with_the_same_bits(tmp_path, whole, where, step, signum, code):
    ended, text = train(*OPTIONS, folder=tmp_path, kill=(where, step, signum))
    assert ended == code, text
    run = run_folder(tmp_path)
    ended, text = train(f"resume={run}", folder=tmp_path)
    assert ended == 0, text
    assert_same_run(whole, run)
    assert (run / ".hydra" / "resume-1").is_dir()


def test_a_run_whose_config_lacks_later_sections_goes_on(tmp_path, whole):
    """As one of an earlier version does."""
    assert train(*OPTIONS, folder=tmp_path, kill=("training", 7, SIGKILL))[0] == -9
    run = run_folder(tmp_path)
    config = OmegaConf.load(run / "config.yaml")
    for section in ("condition", "augmentation", "guidance", "winograd", "compile", "init"):
        del config[section]
    OmegaConf.save(config, run / "config.yaml")
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_same_run(whole, run)


@pytest.mark.parametrize(
    "options",
    [
        ("loss=uncertainty", "times=weighted"),
        ("loss=hybrid",),
        ("loss=sliced_vr",),
    ],
    ids=["learned weight", "learned variance", "random directions"],
)
def test_whatever_a_choice_learns_or_remembers_goes_on(tmp_path, options):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    code, text = train(*options, folder=whole)
    assert code == 0, text
    assert train(*options, folder=cut, kill=("training", 7, SIGKILL))[0] == -9
    code, text = train(f"resume={run_folder(cut)}", folder=cut)
    assert code == 0, text
    assert_same_run(run_folder(whole), run_folder(cut))


def test_epochs_of_five_batches_change_nothing(tmp_path, whole):
    assert train(*OPTIONS, "trainer.limit_train_batches=5", folder=tmp_path, kill=("training", 8, SIGKILL))[0] == -9
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert_same_run(whole, run)


def test_resume_auto_finds_the_unfinished_run(tmp_path, whole):
    assert train(*OPTIONS, "resume=auto", folder=tmp_path, kill=("training", 7, SIGTERM))[0] == 143
    code, text = train(*OPTIONS, "resume=auto", folder=tmp_path)
    assert code == 0, text
    assert_same_run(whole, run_folder(tmp_path))


def test_more_steps_go_on_in_the_same_folder(tmp_path):
    assert train(folder=tmp_path)[0] == 0
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", "trainer.max_steps=15", folder=tmp_path)
    assert code == 0, text
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 15
    with (run / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(set(steps)) and steps[-1] == 15


def test_nothing_else_may_change(tmp_path, whole):
    code, text = train(f"resume={whole}", "optim.lr=0.1", folder=tmp_path)
    assert code == 2
    assert "optim.lr" in text and "trainer.max_steps" in text
