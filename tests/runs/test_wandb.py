"""What W&B keeps of whole runs: read back from its files, and at a server that may fall silent."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parent))
from children import REPOSITORY, SIGINT, SIGKILL, SIGTERM, SMALL, at_step, failing, run_folder, script, shell, train
from members import killed_later
from pairs import pair, prepared
from wandb_files import AXIS, Kept
from wandb_server import serving

pytestmark = pytest.mark.slow  # whole runs in processes of their own

POINTS = (
    "data=two_moons",
    "metrics=points",
    "metrics.samples=64",
    "metrics.permutations=20",
    "metrics.pictures=64",
    "metrics.every=6",
    "metrics.nll=null",
    "sampler.steps=4",
)


def with_environment(then: Any = None, **values: str) -> Any:
    """For a child: these variables are set there, and nobody is logged in by a file."""
    return partial(prepared, {"NETRC": "/nonexistent", **values}, then)


OFFLINE = with_environment()


def parts(run: Path) -> list[Kept]:
    """What W&B has of a run, one for each time that it went on."""
    return [Kept(path) for path in sorted((run / "wandb").glob("offline-run-*"))]


def table(run: Path) -> list[tuple[int, str, float]]:
    """Step, name and value of every figure in metrics.csv, sorted."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted((int(r["step"]), k, float(v)) for r in rows for k, v in r.items() if k != "step" and v)


def events(run: Path) -> Any:
    """TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run / "tensorboard")).Reload()


def scalars(run: Path) -> list[tuple[int, str, float]]:
    """The same of TensorBoard's files."""
    found = events(run)
    return sorted((e.step, key, e.value) for key in found.Tags()["scalars"] for e in found.Scalars(key))


def commit() -> str:
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, text=True).strip()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run with pictures."""
    folder = tmp_path_factory.mktemp("trained")
    code, text = train("logger=wandb", "logger.log_model=true", *POINTS, folder=folder, prepare=OFFLINE)
    assert code == 0, text
    run = run_folder(folder)
    assert text.count("W&B") == 1
    assert f"W&B: no API key, so the run is kept offline; later: wandb sync {run / 'wandb'}\n" in text
    return run


def test_a_run_is_one_of_wandbs_with_all_that_metrics_csv_has(trained):
    (kept,) = parts(trained)
    assert kept.exit == 0
    assert (kept.run.project, kept.run.job_type, kept.run.run_group) == ("difflab", "train", "")
    assert kept.run.display_name == f"test/{trained.name}"
    assert kept.run.run_id == (trained / "wandb" / "id").read_text()
    assert kept.scalars() == table(trained)
    assert all(AXIS in row for row in kept.history)
    steps = [row["_step"] for row in kept.history]
    assert steps == sorted(set(steps))


def test_the_config_is_that_of_the_run_once(trained):
    (kept,) = parts(trained)
    config = {key: value for key, value in kept.config.items() if key != "_wandb"}
    environment, choices = config.pop("environment"), config.pop("choices")
    saved: Any = OmegaConf.to_container(OmegaConf.load(trained / "config.yaml"))
    saved.pop("hydra", None)
    assert config == {key: value for key, value in saved.items() if key != "resume"}
    assert (choices["data"], choices["loss"], choices["metrics"]) == ("two_moons", "simple", "points")
    assert environment == json.loads((trained / "environment.json").read_text())
    assert "metrics.samples=64" in environment["overrides"]
    assert kept.run.git.commit == environment["commit"] == commit()
    assert (kept.folder / "files" / "diff.patch").exists() == environment["modified"]


def test_figures_are_drawn_against_steps_and_the_best_is_kept(trained):
    (kept,) = parts(trained)
    assert kept.defined["*"].step_metric == AXIS
    lows = [name for name, metric in kept.defined.items() if metric.summary.min]
    assert sorted(lows) == ["test/energy_distance", "test/sliced_wasserstein", "val/loss"]
    assert kept.defined["train/images_per_second"].summary.max
    losses = [value for _, key, value in table(trained) if key == "val/loss"]
    assert kept.summary["val/loss"] == {"min": min(losses)}
    last = [value for _, key, value in table(trained) if key == "train/loss"][-1]
    assert kept.summary["train/loss"] == last


def test_pictures_tables_and_checkpoints_are_there(trained):
    (kept,) = parts(trained)
    shown = {key: row for row in kept.history for key, value in row.items() if isinstance(value, dict)}
    assert {"samples/grid", "samples/denoising", "train/times", "summary/final"} <= shown.keys()
    files = [row[key] for row in kept.history for key in row if isinstance(row[key], dict) and "path" in row[key]]
    assert len(files) >= 4
    assert all((kept.folder / "files" / file["path"]).stat().st_size == file["size"] for file in files)
    assert sum(shown["train/times"]["train/times"]["values"]) > 0
    grids = [row[AXIS] for row in kept.history if "samples/grid" in row]
    assert grids == [6, 12]
    models = [artifact for artifact in kept.artifacts if artifact.type == "model"]
    aliases = [sorted(set(artifact.aliases) - {"latest"}) for artifact in models]
    assert aliases == [["last", "step-12"], ["best"]]
    for artifact, name in zip(models, ("last", "best"), strict=True):
        (file,) = artifact.manifest.contents
        assert Path(file.local_path).read_bytes() == (trained / "checkpoints" / f"{name}.ckpt").read_bytes()
    assert not list((Path.home() / ".local" / "share" / "wandb").glob(f"**/*{kept.run.run_id}*"))


def test_a_grid_of_evaluations_is_one_run_beside_it(trained):
    typed = (f"run={trained}", "logger=wandb", "sampler.steps=2,4")
    code, text = script("evaluate", typed, trained.parents[3], prepare=OFFLINE)
    assert code == 0, text
    (folder,) = (trained / "evaluations").glob("*/wandb/offline-run-*")
    kept = Kept(folder)
    assert (kept.run.project, kept.run.job_type, kept.exit) == ("difflab", "eval", 0)
    assert kept.run.display_name.startswith(f"test/{trained.name}/")
    assert kept.config["choices"]["data"] == "two_moons" and kept.config["sampler"]["steps"] == 2
    lines = (trained / "evaluations.jsonl").read_text().splitlines()[-2:]
    for number, line in enumerate(map(json.loads, lines)):
        (row,) = [row for row in kept.history if row["point"] == number and "test/energy_distance" in row]
        assert row["test/energy_distance"] == line["test/energy_distance"]
    (quality,) = [row["quality"] for row in kept.history if "quality" in row]
    rows = json.loads((kept.folder / "files" / quality["path"]).read_text())
    assert rows["columns"][:2] == ["sampler.steps", "test/network_calls"]
    assert [row[:2] for row in rows["data"]] == [["2", 2], ["4", 4]]
    plots = kept.config["_wandb"]["visualize"]
    assert "quality/energy_distance" in plots
    assert len(parts(trained)) == 1


def test_tensorboard_has_the_same(trained, tmp_path):
    code, text = train("logger=tensorboard", *POINTS, folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    found, (kept,) = scalars(run), parts(trained)
    assert [row[:2] for row in found] == [row[:2] for row in table(run)]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in table(run)], rel=1e-6)
    assert [row[:2] for row in found] == [row[:2] for row in kept.scalars()]
    tags = events(run).Tags()
    assert {"samples/grid", "samples/denoising"} <= set(tags["images"])
    assert tags["histograms"] == ["train/times"]
    assert "summary/final/text_summary" in tags["tensors"]


def test_a_sweep_is_a_group_of_runs_for_its_jobs(tmp_path):
    typed = ("logger=wandb", "logger.notes=why", "tags=[one,two]", "-m", "seed=0,1,2")
    code, text = train(*typed, folder=tmp_path, prepare=OFFLINE)
    assert code == 0, text
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    assert f"W&B: kept offline; later: wandb sync {sweep}/*/wandb\n" in text
    ids = set()
    for seed in (0, 1, 2):
        (kept,) = parts(sweep / str(seed))
        assert kept.run.run_group == f"test/{sweep.name}"
        assert (list(kept.run.tags), kept.run.notes, kept.exit) == (["one", "two"], "why", 0)
        assert kept.config["seed"] == seed
        assert kept.scalars() == table(sweep / str(seed))
        ids.add(kept.run.run_id)
    assert len(ids) == 3


def test_a_search_by_workers_has_a_run_for_each_trial(tmp_path):
    """Optuna proposes, joblib's workers run two jobs each at least: none goes on with the run of another."""
    search = ("-m", "sweep=optuna", "optim.lr=tag(log,interval(1e-4,1e-1))", "sweep.objective=train/loss")
    many = ("sweep.trials=4", "sweep.at_once=4", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    child = shell(["train.py", *SMALL, "logger=wandb", *search, *many], tmp_path, NETRC="/nonexistent")
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stdout + stderr
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    found = [part for job in "0123" for part in parts(sweep / job)]
    assert len({part.run.run_id for part in found}) == len(found) == 4
    assert {part.run.run_group for part in found} == {f"test/{sweep.name}"}
    assert [part.exit for part in found] == [0] * 4
    assert len({part.config["optim"]["lr"] for part in found}) == 4


def test_two_processes_have_one_run(tmp_path):
    ended = pair("logger=wandb", folder=tmp_path, then=(OFFLINE, OFFLINE))
    assert [code for code, _ in ended] == [0, 0], ended
    (kept,) = parts(tmp_path / "run")
    assert kept.exit == 0
    assert kept.scalars() == table(tmp_path / "run")


def test_a_run_that_was_killed_goes_on_under_its_id(tmp_path):
    """Steps 7 and 8 were told, the last checkpoint is of step 6: they are told again, and nothing is left out."""
    long = ("logger=wandb", "trainer.log_every_n_steps=1")
    prepare = with_environment(then=partial(at_step, 8, killed_later))
    code, _ = train(*long, folder=tmp_path, prepare=prepare)
    assert code == -SIGKILL
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", folder=tmp_path, prepare=OFFLINE)
    assert code == 0, text
    first, second = parts(run)
    assert first.run.run_id == second.run.run_id
    assert (first.exit, second.exit) == (None, 0)
    assert {row[AXIS] for row in first.history} == set(range(1, 9))
    assert {row[AXIS] for row in second.history} == set(range(7, 13))
    steps = [row["_step"] for row in (*first.history, *second.history)]
    assert steps == sorted(set(steps))
    told = {key: value for *key, value in (*first.scalars(), *second.scalars()) for key in [tuple(key)]}
    assert [(*key, value) for key, value in sorted(told.items())] == table(run)


def test_tensorboard_of_a_run_that_was_killed_has_every_step_once(tmp_path):
    long = ("logger=tensorboard", "trainer.log_every_n_steps=1")
    assert train(*long, folder=tmp_path, kill=("training", 8, SIGKILL))[0] == -SIGKILL
    run = run_folder(tmp_path)
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 0, text
    assert [row[:2] for row in scalars(run)] == [row[:2] for row in table(run)]


@pytest.mark.parametrize(
    ("kill", "more", "code"),
    [(("training", 7, SIGINT), None, 130), (("training", 7, SIGTERM), None, 143), (None, 7, 1)],
    ids=["Ctrl-C", "SIGTERM", "failure"],
)
def test_a_run_ends_there_with_its_exit_code(kill, more, code, tmp_path):
    prepare = with_environment(then=None if more is None else partial(failing, more))
    found, text = train("logger=wandb", folder=tmp_path, kill=kill, prepare=prepare)
    assert found == code, text
    (kept,) = parts(run_folder(tmp_path))
    assert kept.exit == code


def test_a_server_gets_it_all(tmp_path):
    with serving() as server:
        prepare = with_environment(**server.environment())
        code, text = train("logger=wandb", folder=tmp_path, prepare=prepare)
        assert code == 0, text
        run = run_folder(tmp_path)
        assert f"W&B: {server.url}/somebody/difflab/runs/{(run / 'wandb' / 'id').read_text()}\n" in text
        sent = sorted((row[AXIS], k, v) for row in server.rows for k, v in row.items() if "/loss" in k)
        assert sent == [row for row in table(run) if "/loss" in row[1]]
        assert server.codes == [0]


def test_a_server_that_never_answers_costs_seconds(tmp_path):
    with serving(silent=True) as server:
        prepare = with_environment(**server.environment())
        code, text = train("logger=wandb", folder=tmp_path, prepare=prepare)
    assert code == 0, text
    run = run_folder(tmp_path)
    line = f"W&B: {server.url} cannot be reached (no answer within 2 seconds), so the run is kept offline; later: "
    assert line in text
    (kept,) = parts(run)
    assert kept.scalars() == table(run)


def test_a_server_that_falls_silent_costs_no_step_and_is_waited_for_so_long(tmp_path):
    more = ("logger.patience=1", "trainer.max_steps=40", "trainer.log_every_n_steps=1")
    with serving(falls="UpsertBucket") as server:
        prepare = with_environment(**server.environment())
        code, text = train("logger=wandb", *more, folder=tmp_path, prepare=prepare)
        assert code == 0, text
        assert server.rows == server.codes == []
    assert "tables and checkpoints are left out there" in text
    run = run_folder(tmp_path)
    (folder,) = (run / "wandb").glob("run-*")
    assert f"W&B: not all was uploaded in time; the rest: wandb sync --include-online {folder}\n" in text
    assert Kept(folder).scalars() == table(run)


def test_the_environment_says_what_the_config_does_not(tmp_path):
    said = {
        "WANDB_MODE": "offline",
        "WANDB_SWEEP_ID": "sweep1",
        "WANDB_RUN_ID": "agents1",
        "WANDB_PROJECT": "theirs",
        "WANDB_ENTITY": "them",
        "WANDB_RUN_GROUP": "together",
        "WANDB_TAGS": "a,b",
        "WANDB_NOTES": "noted",
        "WANDB_DIR": str(tmp_path / "elsewhere"),
    }
    (tmp_path / "elsewhere").mkdir()
    code, text = train("logger=wandb", folder=tmp_path, prepare=with_environment(**said))
    assert code == 0, text
    (kept,) = [Kept(path) for path in (tmp_path / "elsewhere" / "wandb").glob("offline-run-*")]
    run = kept.run
    assert (run.sweep_id, run.run_id, run.project, run.entity) == ("sweep1", "agents1", "theirs", "them")
    assert (run.run_group, list(run.tags), run.notes) == ("together", ["a", "b"], "noted")
    assert (run_folder(tmp_path) / "wandb" / "id").read_text() == "agents1"


def test_disabled_leaves_nothing(tmp_path):
    code, text = train("logger=wandb", "logger.mode=disabled", folder=tmp_path, prepare=OFFLINE)
    assert code == 0, text
    assert "W&B" not in text
    assert not (run_folder(tmp_path) / "wandb").exists()
