"""A step that goes wrong stops the run with a failure.json, from which it goes wrong again; or it is left out."""

import csv
import json
import random
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, SMALL, overflown, run_folder, script, shell, spoilt, train

from difflab.data.batches import Order
from difflab.errors import ConfigError
from difflab.runs.resume import resumed
from tests.conftest import option

pytestmark = pytest.mark.slow  # whole runs in processes of their own

# Times that depend on all losses so far, dropout, and two batches in a step.
REMEMBERS = (
    *("schedule=vp", "loss=vlb", "times=importance", "times.cells=4", "times.history=2"),
    *("model.dropout=0.1", "trainer.accumulate_grad_batches=2", "trainer.log_every_n_steps=50"),
)


def failure(run: Path) -> dict:
    return json.loads((run / "failure.json").read_text())


def content(run: Path) -> dict[str, str]:
    """A hash of every file of a run but those of replays."""
    files = [path for path in run.rglob("*") if path.is_file() and "replays" not in path.relative_to(run).parts]
    return {str(path.relative_to(run)): sha256(path.read_bytes()).hexdigest() for path in files}


def again(run: Path, folder: Path, prepare=None) -> tuple[int, str]:
    """A replay, that leaves the run as it was."""
    before = content(run)
    ended = script("train", [f"replay={run / 'failure.json'}"], folder, prepare=prepare)
    assert content(run) == before
    assert [path.name for path in (folder / "outputs").rglob("config.yaml") if ".hydra" not in path.parts] == [
        "config.yaml"
    ]
    return ended


def rows(run: Path) -> dict[int, dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("options", [(), REMEMBERS])
def test_a_nan_at_a_random_step_comes_again(options, tmp_path):
    step, example = random.Random(len(options)).randint(4, 11), 20
    poison = partial(spoilt, [step], example, float("nan"))
    code, text = train(*options, folder=tmp_path, prepare=poison)
    assert code == 1
    run = run_folder(tmp_path)
    assert f"the loss is nan at step {step}" in text
    assert "again: python train.py replay=outputs/runs/test/" in text
    found = failure(run)
    assert (found["what"], found["step"], found["value"]) == ("loss", step, "nan")
    assert found["checkpoint"] == f"checkpoints/step_{3 * ((step - 1) // 3):06d}.ckpt"
    assert (found["max_steps"], found["processes"], found["seeds"]["seed"]) == (12, 1, 0)
    each = 2 if options else 1
    assert [batch["number"] for batch in found["batches"]] == list(range(each * (step - 1), each * step))
    data = option("data", "digits")
    data.setup()
    for batch in found["batches"]:
        order = Order(len(data.train), 32, 0, batch["number"], 0, 1)
        assert batch["indices"] == next(iter(order)).indices
        assert [i for i, loss in enumerate(batch["losses"]) if loss == "nan"] == [example]
    assert f"train/noise/{each * step - 1}" in found["seeds"]["streams"]
    code, text = again(run, tmp_path, poison)
    assert code == 0, text
    assert f"replayed: step {step}: the loss is nan, as in {run / 'failure.json'}" in text
    for batch in found["batches"]:
        at = batch["times"][example]
        assert f"training example {batch['indices'][example]}: t = {at:.6g}, its loss nan" in text
    code, text = again(run, tmp_path)
    assert code == 1
    assert f"step {step}: the loss is nan in {run / 'failure.json'}; it is " in text
    assert json.loads((run / "replays" / "2" / "status.json").read_text())["state"] == "failed"


def test_a_loss_above_the_bound_comes_again_to_the_last_digit(tmp_path):
    """Also after a resume with more steps, by which the learning rate is another one, and from the beginning."""
    poison = partial(spoilt, [8], 20, 30.0)
    assert train(*REMEMBERS, "watchdog.loss_bound=50", folder=tmp_path, kill=("training", 5, SIGKILL))[0] == -9
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", "trainer.max_steps=15", folder=tmp_path, prepare=poison)
    assert code == 1
    assert "at step 8, above watchdog.loss_bound=50" in text
    found = failure(run)
    assert found["value"] > 50 and found["bound"] == 50 and found["max_steps"] == 15
    code, text = again(run, tmp_path, poison)
    assert code == 0, text
    assert f"replayed: step 8: the loss is {found['value']}, as in" in text
    assert f"training example {found['batches'][0]['indices'][20]}: t = " in text
    (run / found["checkpoint"]).rename(run / "elsewhere")
    code, text = again(run, tmp_path, poison)
    assert "is no longer there: from the beginning" in text
    assert code == 1 and "the loss is" in text  # the first steps had the learning rate of a shorter run


def test_a_bad_step_is_left_out_and_the_count_outlives_a_kill(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    poison = partial(spoilt, [2, 5], 20, float("nan"))
    for folder in (whole, cut):
        folder.mkdir()
    code, text = train("watchdog.skip=2", folder=whole, prepare=poison)
    assert code == 0, text
    assert train("watchdog.skip=2", folder=cut, kill=("training", 7, SIGKILL), prepare=poison)[0] == -9
    code, text = train(f"resume={run_folder(cut)}", folder=cut, prepare=poison)
    assert code == 0, text
    runs = [run_folder(folder) for folder in (whole, cut)]
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs]
    for key in ("state_dict", "current_model_state"):
        for name, weight in states[0][key].items():
            assert weight.isfinite().all() and torch.equal(weight, states[1][key][name])
    for run in runs:
        assert [rows(run)[step]["train/skipped_steps"] for step in (2, 4, 6, 12)] == ["1", "1", "2", "2"]
        assert json.loads((run / "metrics.json").read_text())["train/skipped_steps"] == 2
    log = (runs[0] / "run.log").read_text()
    assert "the loss is nan at step 2; left out: number 1 of at most 2" in log
    assert "the loss is nan at step 5; left out: number 2 of at most 2" in log
    assert not (runs[0] / "failure.json").exists()


def test_one_bad_step_too_many_stops_the_run_and_comes_again(tmp_path):
    poison = partial(spoilt, [4, 6, 8, 9], 0, float("nan"))
    code, text = train("watchdog.skip=2", folder=tmp_path, prepare=poison)
    assert code == 1
    assert "the loss is nan at step 8; left out before: 2; last good checkpoint: " in text
    run = run_folder(tmp_path)
    assert failure(run)["step"] == 8
    code, text = again(run, tmp_path, poison)  # from the checkpoint of step 6, which knows that there were two
    assert code == 0, text
    code, text = again(run, tmp_path, partial(spoilt, [7, 8], 0, float("nan")))
    assert code == 1
    assert "; the loss is nan at step 7" in text


def test_a_state_that_is_no_longer_numbers_comes_again(tmp_path):
    """Loss and gradient of the step were fine, and the checkpoint after it is not written."""
    code, text = train(folder=tmp_path, prepare=partial(overflown, 6))
    assert code == 1
    assert "the state is not finite after step 6, of loss " in text
    run = run_folder(tmp_path)
    found = failure(run)
    assert (found["what"], found["step"], found["value"]) == ("state", 6, 1)
    assert found["checkpoint"] == "checkpoints/step_000003.ckpt" and found["batches"][0]["number"] == 5
    code, text = again(run, tmp_path, partial(overflown, 6))
    assert code == 0, text
    assert "replayed: step 6: numbers of the state that are none: 1, as in" in text
    code, text = again(run, tmp_path)
    assert code == 1
    assert "it is 0 this time" in text


def test_what_cannot_be_replayed_is_refused(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "failure.json").write_text(json.dumps(dict.fromkeys(("what", "step", "value"), 1)))
    (tmp_path / "text.json").write_text("nothing")
    whole = {"what": "loss", "step": 1, "value": 1.0, "batches": [], "checkpoint": None, "max_steps": 9, "processes": 1}
    (tmp_path / "failure.json").write_text(json.dumps(whole))
    for arguments, message in (
        ([f"replay={tmp_path / 'nowhere.json'}"], "replay: there is no file .*; allowed is the failure.json of a run"),
        ([f"replay={run}"], "replay: there is no file"),
        ([f"replay={run / 'failure.json'}"], "replay: .* is not the failure.json of a run"),
        ([f"replay={tmp_path / 'text.json'}"], "replay: .* is not the failure.json of a run"),
        ([f"replay={tmp_path / 'failure.json'}"], "replay: .* is not a run folder"),
        (
            [f"replay={tmp_path / 'failure.json'}", "optim.lr=1"],
            "optim.lr: .*; beside replay= only trainer.detect_anomaly and targets",
        ),
        ([f"replay={tmp_path / 'failure.json'}", f"resume={run}"], "resume: .*; beside replay= only"),
        (["-m", f"replay={tmp_path / 'failure.json'}"], "replay: .* in a sweep"),
    ):
        with pytest.raises(ConfigError, match=message):
            resumed(arguments)
    code, text = script("train", [f"replay={run / 'failure.json'}"], tmp_path)
    assert code == 2 and text.startswith("refused: replay: ")
    assert not (tmp_path / "outputs").exists()


def test_two_processes_find_leave_out_and_replay_what_one_of_them_has_seen(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from children import spoilt\n"
        "from difflab.runs import run\n"
        "if __name__ == '__main__':\n"
        "    spoilt([2, 5], 20, float('nan'))\n"  # of the second process's share
        "    run('train', 'difflab.runs.train', owns_folder=True)\n"
    )
    two = ("trainer=ddp", "trainer.devices=2", "trainer.max_steps=6", "watchdog.skip=1")
    child = shell([str(program), *SMALL, *two], tmp_path)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 1, stderr
    assert "the loss is nan at step 5; left out before: 1" in stderr
    run = run_folder(tmp_path)
    found = failure(run)
    assert found["processes"] == 2
    (batch,) = found["batches"]
    assert [i for i, loss in enumerate(batch["losses"]) if loss == "nan"] == [20] and len(batch["losses"]) == 32
    assert (run / "run.log").read_text().count("left out: number 1 of at most 1") == 1
    assert [rows(run)[step]["train/skipped_steps"] for step in (2, 4)] == ["1", "1"]
    before = content(run)
    child = shell([str(program), f"replay={run / 'failure.json'}"], tmp_path)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    assert f"training example {batch['indices'][20]}: t = " in stdout
    assert stdout.count("replayed: step 5: the loss is nan") == 1
    assert content(run) == before
