"""Two processes train as one does, agree on what they do, and end together."""

import csv
import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, run_folder, train
from pairs import NODES, Pair, pair
from ranks import asleep, broken, deaf, from_step, in_step

pytestmark = pytest.mark.slow  # whole runs in processes of their own


def rows(run: Path) -> list[dict[str, str]]:
    """metrics.csv."""
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def column(run: Path, name: str) -> list[float]:
    """The figures of one name in metrics.csv."""
    return [float(row[name]) for row in rows(run) if row[name]]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Of the last checkpoint."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def alone_and_together(*options: str, folder: Path) -> tuple[Path, Path]:
    """The run folders of one process and of two that share its batches."""
    code, text = train(*options, folder=folder)
    assert code == 0, text
    ended = pair(*options, folder=folder)
    assert [code for code, _ in ended] == [0, 0], ended
    alone, together = run_folder(folder), folder / "run"
    one, two = weights(alone), weights(together)
    assert not all(torch.equal(weight, two[name]) for name, weight in one.items())  # it was two processes
    return alone, together


def test_every_step_is_that_of_one_process_with_accumulation_and_clipping(tmp_path):
    options = ("trainer.accumulate_grad_batches=3", "trainer.gradient_clip_val=0.02", "trainer.log_every_n_steps=1")
    alone, together = alone_and_together(*options, folder=tmp_path)
    assert len(rows(alone)) == len(rows(together)) == 12
    for name in ("train/loss", "val/loss"):
        one, two = column(alone, name), column(together, name)
        assert two[:3] == pytest.approx(one[:3], rel=1e-6)
        assert two == pytest.approx(one, rel=1e-5)
    assert column(together, "train/lr") == column(alone, "train/lr")
    assert min(column(alone, "train/grad_norm")) > 0.02  # it was clipped
    for name, weight in weights(alone).items():
        torch.testing.assert_close(weights(together)[name], weight, atol=1e-4, rtol=0)
    figures = json.loads((together / "metrics.json").read_text())
    seen = figures["train/images_per_second"] * figures["seconds/train"]
    assert seen == pytest.approx(12 * 3 * 32)


def test_what_the_losses_have_been_is_shared(tmp_path):
    """Importance times: both draw from the same history, which is that of one process."""
    options = ("schedule=vp", "loss=vlb", "times=importance", "times.cells=4", "times.history=2")
    one, two = (weights(run) for run in alone_and_together(*options, folder=tmp_path))
    assert torch.equal(one["times.seen"], two["times.seen"])
    torch.testing.assert_close(one["times.losses"], two["times.losses"], rtol=1e-4, atol=1e-4)
    assert not torch.equal(one["times.losses"], two["times.losses"])


def test_directions_are_those_of_one_process(tmp_path):
    """Sliced score matching: every example has the same random directions, whoever computes it."""
    alone, together = alone_and_together("loss=sliced_vr", "trainer.log_every_n_steps=1", folder=tmp_path)
    assert len(column(alone, "train/loss")) == 12
    assert column(together, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4)


def test_a_batch_that_cannot_be_shared_is_refused_by_all(tmp_path):
    for code, text in pair("data.batch_size=33", folder=tmp_path):
        assert code == 2
        assert text.count("data.batch_size: 33 cannot be shared by 2 processes") == 1
    code, text = train("trainer=ddp", "trainer.devices=2", "data.batch_size=33", folder=tmp_path)
    assert code == 2
    assert text == "refused: data.batch_size: 33 cannot be shared by 2 processes; allowed are multiples of 2\n"


def test_another_config_stops_all_of_them_before_the_first_step(tmp_path):
    ended = pair(folder=tmp_path, more=((), ("loss=min_snr",)))
    assert [code for code, _ in ended] == [1, 1]
    text = ended[0][1]
    assert "Disagreement: loss._target_: " in text and "in process 1" in text
    assert len(text.splitlines()) == 1
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize(("dead", "other"), [(0, asleep), (1, asleep), (1, deaf)])
def test_where_one_is_killed_the_other_ends(tmp_path, dead, other):
    """The one that is left waits for nobody: it is in the middle of a step that would take five minutes."""
    job = Pair(
        *NODES,
        f"hydra.run.dir={tmp_path / 'run'}",
        folder=tmp_path,
        kill=tuple(("training", 7, SIGKILL) if rank == dead else None for rank in (0, 1)),
        then=tuple(None if rank == dead else partial(in_step, 7, other) for rank in (0, 1)),
    )
    assert job.wait(dead) == -SIGKILL
    ended = job.end(30)
    assert ended[1 - dead][0] == 1
    assert f"process {dead} of 2 ended" in ended[1 - dead][1]
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6
    if dead == 1:
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert (status["state"], status["exit"]) == ("failed", 1)


def test_an_error_of_one_is_the_reason_of_all(tmp_path):
    ended = pair(folder=tmp_path, then=(None, partial(in_step, 7, broken)))
    assert [code for code, _ in ended] == [1, 1]
    assert "process 1 of 2 ended: ValueError: two things" in ended[0][1]
    assert "Connection closed" not in ended[0][1]


def test_another_checkpoint_stops_all_of_them(tmp_path):
    assert [code for code, _ in pair(folder=tmp_path)] == [0, 0]
    resume = (f"resume={tmp_path / 'run'}", "trainer.max_steps=14")
    ended = Pair(*resume, folder=tmp_path, then=(None, partial(from_step, 9))).end()
    assert [code for code, _ in ended] == [1, 1]
    assert "resume: step 9 in process 1, 12 in process 0" in ended[0][1]
