"""Which checkpoints there are, and which is the newest."""

import sys
from pathlib import Path

import pytest
import torch

from difflab.runs.folder import RunFolder
from difflab.runs.resume import checkpoint
from difflab.training.callbacks.checkpoints import by_step, link

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train


def test_a_millionth_step_comes_after_the_one_before(tmp_path):
    for name in ("step_1000000.ckpt", "step_999999.ckpt", "step_000500.ckpt", "last.ckpt", "step_000750.unfinished"):
        (tmp_path / name).touch()
    assert [path.name for path in by_step(tmp_path)] == ["step_000500.ckpt", "step_999999.ckpt", "step_1000000.ckpt"]


def test_a_link_follows_the_newest_and_survives_the_removal_of_its_other_name(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        link(tmp_path / name, tmp_path / "last")
        assert (tmp_path / "last").read_text() == name
    (tmp_path / "two").unlink()
    assert (tmp_path / "last").read_text() == "two"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "last"}


def test_a_resume_starts_from_the_newest_whole_checkpoint(tmp_path):
    content = {"state_dict": {}, "current_model_state": {}, "global_step": 0}
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    assert checkpoint(folder) == (None, [])
    for name in ("step_999999.ckpt", "step_1000000.ckpt"):
        torch.save(content, folder.checkpoints / name)
    (folder.checkpoints / "last.ckpt").write_bytes(b"half a checkpoint")
    path, complaints = checkpoint(folder)
    assert path == folder.checkpoints / "step_1000000.ckpt"
    assert len(complaints) == 1 and "last.ckpt: is damaged" in complaints[0]


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_saves_leaves_no_half_checkpoint_behind(tmp_path):
    code, _ = train(folder=tmp_path, kill=("saving", 6, 9))
    assert code == -9
    run = run_folder(tmp_path)
    assert [path.name for path in by_step(run / "checkpoints")] == ["step_000003.ckpt"]
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert not list((run / "checkpoints").glob("*.unfinished"))
