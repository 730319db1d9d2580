"""Which checkpoints there are, and which is the newest."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from difflab.runs.folder import RunFolder
from difflab.runs.resume import checkpoint
from difflab.training.checkpoint_files import by_step, link

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import SIGKILL, run_folder, script, train
from sameness import assert_same_checkpoint, table


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


WILD = ("optim.lr=0.3", "optim.warmup_steps=0", "trainer.gradient_clip_val=null", "ema.decay=0")


@pytest.mark.slow
def test_the_best_stays_and_can_be_evaluated(tmp_path):
    """It is of a step that no other checkpoint is of."""
    code, text = train(*WILD, "trainer.val_check_interval=2", "checkpoints.every=4", folder=tmp_path)
    assert code == 0, text
    assert re.search(r"checkpoints: [\d.]+ kB each, at most 4 of them, in .*/checkpoints\n", text)
    run = run_folder(tmp_path)
    held_out = {int(row["step"]): float(row["val/loss"]) for row in table(run) if row["val/loss"]}
    lowest = min(held_out, key=held_out.__getitem__)
    assert list(held_out) == [2, 4, 6, 8, 10, 12] and lowest == 10
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt", *(f"step_{step:06d}.ckpt" for step in (4, 8, 12))]
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == lowest
    assert best["callbacks"]["Checkpoints"] == {"lowest": held_out[lowest], "lowest_step": lowest}
    for every in (8, 11):  # what is resumed does not know of that step yet; it does, and finds no better one
        cut = tmp_path / str(every)
        cut.mkdir()
        options = (*WILD, "trainer.val_check_interval=2", f"checkpoints.every={every}")
        assert train(*options, folder=cut, kill=("training", 11, SIGKILL))[0] == -SIGKILL
        code, text = train(f"resume={run_folder(cut)}", folder=cut)
        assert code == 0, text
        assert_same_checkpoint(*(folder / "checkpoints" / "best.ckpt" for folder in (run, run_folder(cut))))
    cheap = ("metrics=default", "metrics.distances=null", "metrics.images=8")
    code, text = script("evaluate", [f"run={run}", "checkpoint=best.ckpt", *cheap], tmp_path)
    assert code == 0, text
    assert json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["step"] == lowest


@pytest.mark.slow
def test_without_validation_there_is_no_best(tmp_path):
    code, text = train("trainer.limit_val_batches=0", "checkpoints.keep=1", folder=tmp_path)
    assert code == 0, text
    assert {path.name for path in (run_folder(tmp_path) / "checkpoints").iterdir()} == {"last.ckpt", "step_000012.ckpt"}
    assert "at most 2 of them" in text
