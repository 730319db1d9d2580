"""What the logger tells W&B, read back from the file that it keeps offline."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image

from difflab.errors import ConfigError
from difflab.training.loggers import Shows, Wandb, wandb_logger

sys.path.insert(0, str(Path(__file__).parents[2] / "runs"))
from wandb_files import AXIS, Kept
from wandb_server import serving


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Nobody is logged in, and W&B knows nothing of other tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    kept = {"SILENT": "true", "ERROR_REPORTING": "false", "DATA_DIR": str(tmp_path / "staging")}
    kept["CACHE_DIR"] = str(tmp_path / "cache")
    for name, value in kept.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    yield
    wandb.teardown()


def logger(folder: Path, **options: Any) -> Wandb:
    """As the config makes it."""
    fields = {"project": None, "entity": None, "group": None, "mode": None, "notes": None, "log_model": False}
    told = {"settings": {"seed": 0}, "sweep": None, "job_type": "train", "code": dict, "name": "name", "tags": []}
    return wandb_logger(folder=folder, **{**fields, **told, "patience": 10.0, **options})


def kept(folder: Path) -> Kept:
    """What is in its file when W&B's process has ended, which writes until then."""
    wandb.teardown()
    (path,) = (folder / "wandb").glob("offline-run-*")
    return Kept(path)


def test_what_it_shows(tmp_path):
    made = logger(tmp_path, log_model=True)
    assert isinstance(made, Shows)
    picture, checkpoint = tmp_path / "grid.png", tmp_path / "last.ckpt"
    Image.new("RGB", (8, 4)).save(picture)
    checkpoint.write_bytes(b"weights")
    made.picture("samples/grid", picture, 5)
    made.histogram("train/times", [1.0, 2.0], [0.0, 0.5, 1.0], 5)
    made.table("summary/final", ("figure", "error"), [("bits/dim", 3.5), ("loss", float("nan")), ("none", None)], 6)
    rows = [(1.0, 2.0, "a"), (2.0, 3.0, "a"), (1.0, 4.0, "b")]
    made.line("quality/fid", ("network calls", "fid", "settings"), rows, 7, "title", by="settings")
    made.keep(checkpoint, ["last", "step-7"])
    (tmp_path / "next.ckpt").write_bytes(b"another's")
    (tmp_path / "next.ckpt").replace(checkpoint)
    made.end(0)
    found = kept(tmp_path)
    files = found.folder / "files"
    grid, times, final, line = found.history
    assert [row[AXIS] for row in found.history] == [5, 5, 6, 7]
    with Image.open(files / grid["samples/grid"]["path"]) as image:
        assert image.size == (8, 4)
    assert times["train/times"] == {"_type": "histogram", "values": [1, 2], "bins": [0, 0.5, 1]}
    table = json.loads((files / final["summary/final"]["path"]).read_text())
    assert table["columns"] == ["figure", "error"] and table["data"][0] == ["bits/dim", 3.5]
    points = json.loads((files / line["quality/fid_table"]["path"]).read_text())
    assert points["data"] == [list(row) for row in rows]
    plot = found.config["_wandb"]["visualize"]["quality/fid"]["panel_config"]["fieldSettings"]
    assert plot == {"x": "network calls", "y": "fid", "stroke": "settings"}
    (model,) = [artifact for artifact in found.artifacts if artifact.type == "model"]
    assert {"last", "step-7"} <= set(model.aliases)
    (file,) = model.manifest.contents
    assert Path(file.local_path).read_bytes() == b"weights"


def test_without_being_asked_no_checkpoint_is_kept(tmp_path):
    made = logger(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"weights")
    made.keep(tmp_path / "last.ckpt", ["last"])
    made.end(0)
    assert not kept(tmp_path).artifacts


@pytest.mark.slow
def test_the_death_of_wandbs_process_costs_nothing_else(tmp_path, caplog):
    made = logger(tmp_path / "one")
    made.log_metrics({"val/loss": 1.0}, 1)
    wandb.setup()._connection._proc._process.kill()
    for step in range(2, 50):
        made.log_metrics({"val/loss": 1.0}, step)
    made.end(0)
    assert sum("W&B" in record.message for record in caplog.records if record.levelname == "WARNING") in (1, 2)
    made = logger(tmp_path / "two")
    made.log_metrics({"val/loss": 2.0}, 1)
    made.end(3)
    found = kept(tmp_path / "two")
    assert (found.exit, found.scalars()) == (3, [(1, "val/loss", 2)])


@pytest.mark.slow
def test_files_that_no_server_takes_in_are_waited_for_so_long(tmp_path, monkeypatch, capsys):
    with serving(deaf="CreateArtifact") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        made = logger(tmp_path, patience=1.0)
        made.log_metrics({"val/loss": 1.0}, 1)
        made.table("summary/final", ("figure",), [("bits/dim",)], 1)
        made.end(0)
        assert "W&B: not all was uploaded in time; the rest: wandb sync" in capsys.readouterr().out
    wandb.teardown()
    (path,) = (tmp_path / "wandb").glob("run-*")
    assert Kept(path).scalars() == [(1, "val/loss", 1)]


def test_a_key_that_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    logger(tmp_path).end(0)
    said = capsys.readouterr().out
    assert said.startswith("W&B: WANDB_API_KEY invalid: API key must have 40+ characters, has 5., so the run is kept")
    assert kept(tmp_path).exit == 0


def test_the_config_wins_over_the_environment(tmp_path, monkeypatch):
    for name, value in {"PROJECT": "theirs", "RUN_GROUP": "theirs", "NOTES": "theirs", "TAGS": "theirs"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    logger(tmp_path, project="own", group="own", notes="own", tags=["own"], sweep="name/stamp").end(0)
    run = kept(tmp_path).run
    assert (run.project, run.run_group, run.notes, list(run.tags)) == ("own", "own", "own", ["own"])


def test_the_best_value_is_that_of_all_parts_of_a_run(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss,val/loss\n1,0.1,0.2\n2,0.3,0.5\n")
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "rows").write_text("7\n")
    made = logger(tmp_path)
    made.log_metrics({"train/loss": 0.3, "val/loss": 0.5}, 2)
    made.end(0)
    found = kept(tmp_path)
    assert found.summary["val/loss"] == {"min": 0.2}
    assert found.summary["train/loss"] == 0.3
    assert [row["_step"] for row in found.history] == [7]


def test_what_changed_in_the_code_is_beside_its_commit(tmp_path):
    code = {"commit": "0" * 40, "remote": "https://example.org/difflab.git", "diff": "a patch"}
    logger(tmp_path, code=lambda: code).end(0)
    found = kept(tmp_path)
    assert (found.run.git.commit, found.run.git.remote_url) == (code["commit"], code["remote"])
    assert (found.folder / "files" / "diff.patch").read_text() == "a patch\n"


def test_other_modes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^logger.mode: on; allowed are online, offline, disabled, or null"):
        logger(tmp_path, mode="on")
