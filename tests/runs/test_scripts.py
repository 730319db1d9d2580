"""scripts/sample.py, scripts/evaluate.py and load_run on a finished run: the same code, the same numbers."""

import csv
import json
import math
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from difflab import load_run
from difflab.errors import ConfigError
from difflab.process import Posterior
from difflab.samplers import DDIM, Uniform

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, SIGTERM, read, run_folder, script, start
from members import interrupted_at, scored_into, telling

pytestmark = pytest.mark.slow  # whole runs in processes of their own

# Everything that design.md promises of metrics.json, for features=classifier.
FINAL = (
    *(f"test/bits_per_dim{end}" for end in ("", "_stderr", "_prior", "_truncated")),
    *(f"test/fd_classifier{end}" for end in ("", "_stderr", "_floor", "_samples")),
    *("train/loss", "train/steps", "train/images_per_second", "model/parameters", "seed"),
    *("seconds/train", "seconds/evaluate"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """debug=quick, which goes through every room, of a default run with a smaller network and classifier."""
    small = ("model.channels=8", "features.steps=100", "likelihood.estimate.steps=8")
    code, text = script("train", ["debug=quick", "trainer.accelerator=cpu", *small], folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.mark.parametrize("model", ["oracle", "oracle_gaussian"])
def test_an_oracle_is_not_trained_but_sampled_and_scored(tmp_path, model):
    """The optimal denoiser of the training images makes those images; that of a Gaussian has its mean."""
    more = ("sampler.clip=false", "sampler.steps=40", "likelihood.estimate.steps=8", "features.steps=100")
    arguments = ["debug=quick", f"model={model}", f"name={model}", "trainer.accelerator=cpu", *more]
    code, text = script("train", arguments, tmp_path)
    assert code == 0, text
    assert "nothing to train" in text
    path = run_folder(tmp_path)
    found = figures(path)
    assert (found["model/parameters"], found["train/steps"]) == (0, 0)
    assert all(math.isfinite(value) for value in found.values())
    loaded = load_run(path)
    x, data = loaded.sample(24), loaded.parts.data
    train = data.scaling.encode(data.train.pixels)
    nearest = torch.cdist(x.flatten(1), train.flatten(1)).min(1).values
    if model == "oracle":
        assert nearest.max() < 0.1
    else:
        assert nearest.min() > 1
        assert (x.mean(0) - train.mean(0)).abs().mean() < 0.2
    code, text = script("evaluate", [f"run={path}", "sampler.steps=10", "metrics.likelihood=false"], tmp_path)
    assert code == 0, text
    assert sample(path, tmp_path, "n=4").shape == (4, 8, 8, 1)


def test_images_come_back_from_their_codes(run):
    """With errors of the first order in the number of steps; noise on the way is refused."""
    loaded = load_run(run)
    x = loaded.parts.data.scaling.encode(loaded.parts.data.test.pixels[:5])
    errors = []
    for steps in (50, 100, 200):
        codes = loaded.encode(x, steps=steps, clip=False)
        errors.append(float((loaded.decode(codes, steps=steps, clip=False) - x).norm() / x.norm()))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2) and errors[1] / errors[2] == pytest.approx(2, rel=0.2)
    with pytest.raises(ConfigError, match="sampler: this one draws noise"):
        loaded.encode(x, "ancestral")


def test_what_is_not_said_is_as_the_run_was_trained_with(tmp_path):
    """A learned variance stays with samplers and likelihoods that are named later; another that is typed wins."""
    small = ("model=mlp", "model.width=16", "model.blocks=1", "metrics=none", "trainer.max_steps=2", "name=test")
    code, text = script("train", [*small, "loss=hybrid", "grid=quadratic", "trainer.accelerator=cpu"], tmp_path)
    assert code == 0, text
    path = run_folder(tmp_path)
    more = ("metrics=default", "metrics.distances=null", "metrics.images=8", "metrics.pictures=0")
    for said, variance in (
        (("likelihood=exact",), "learned"),
        (("likelihood.batch=128",), "learned"),
        (("likelihood=exact", "variance=forward"), "forward"),
        (("variance=forward",), "forward"),
    ):
        code, text = script("evaluate", [f"run={path}", *said, *more], tmp_path)
        assert code == 0, text
        newest = records(path)[-1]
        assert newest["settings"]["likelihood"]["variance"]["_target_"] == f"difflab.process.{variance.title()}"
        assert newest[f"test/bits_per_dim_{variance}_clipped"] == newest["test/bits_per_dim"]
    for said, grid in (
        (("sampler=heun",), "Quadratic"),
        (("sampler=unipc",), "LogSNR"),
        (("grid=trailing",), "Trailing"),
    ):
        code, text = script(
            "evaluate", [f"run={path}", *said, "metrics=none", "metrics.pictures=4", "sampler.steps=4"], tmp_path
        )
        assert code == 0, text
        assert records(path)[-1]["settings"]["sampler"]["grid"]["_target_"] == f"difflab.samplers.{grid}"


def test_an_option_brings_what_it_recommends(run):
    """The multistep solvers their grid; and the analytic variance is measured before it is used."""
    loaded = load_run(run)
    solver = loaded._sampler("dpm_solver", 6, {})
    assert type(solver.grid).__name__ == "LogSNR"
    assert loaded.sample(3, "unipc", steps=5).isfinite().all()
    assert (
        loaded.sample(3, "ddim", steps=5, variance={"_target_": "difflab.process.Analytic", "points": 8})
        .isfinite()
        .all()
    )


def figures(run: Path) -> dict[str, float]:
    return json.loads((run / "metrics.json").read_text())


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


def sample(run: Path, folder: Path, *arguments: str) -> np.ndarray:
    """The pictures that a call of scripts/sample.py writes, [n, H, W, C]."""
    out = folder / "-".join(arguments).replace("/", "_")
    code, text = script("sample", [f"run={run}", f"out='{out}'", "chunk=16", *arguments], folder)
    assert code == 0, text
    (file,) = out.glob("*.npz")
    assert str(file) in text and file.with_suffix(".png").is_file()
    return np.load(file)["arr_0"]


def test_final_figures_are_numbers_under_the_promised_names(run):
    found = figures(run)
    assert set(FINAL) <= found.keys()
    assert all(isinstance(value, int | float) for value in found.values())
    assert all(math.isfinite(found[name]) for name in FINAL)
    assert found["train/steps"] == 20
    assert found["test/fd_classifier_samples"] == 360


def test_the_folder_holds_what_design_md_lists(run):
    names = {path.name for path in run.iterdir()}
    assert {
        "config.yaml",
        "environment.json",
        "status.json",
        "metrics.csv",
        "metrics.json",
        "evaluations.jsonl",
    } <= names
    assert {".hydra", "checkpoints", "samples"} <= names
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
        "step_000010.ckpt",
        "step_000020.ckpt",
    }
    assert {path.name for path in (run / "samples").iterdir()} >= {"step_000010.png", "step_000020.png"}
    assert Image.open(run / "samples" / "step_000020.png").size[0] >= 4 * 8
    environment = json.loads((run / "environment.json").read_text())
    assert "debug=quick" in environment["overrides"] and environment["packages"]["torch"]


def test_a_sample_is_the_same_picture_whatever_n(run, folder):
    many, few = sample(run, folder, "n=20", "seed=3"), sample(run, folder, "n=5", "seed=3")
    assert many.shape == (20, 8, 8, 1) and many.dtype == np.uint8
    assert np.array_equal(many[:5], few)
    assert not np.array_equal(many[:5], sample(run, folder, "n=5", "seed=4"))


@pytest.mark.parametrize(
    ("arguments", "sampler", "values"),
    [
        ((), None, {}),
        (("sampler.steps=7",), None, {"steps": 7}),
        (("sampler=ddim", "sampler.steps=6", "sampler.eta=1"), "ddim", {"steps": 6, "eta": 1.0}),
        (("sampler=ancestral", "sampler.steps=6"), "ancestral", {"steps": 6}),
    ],
)
def test_load_run_samples_what_the_script_samples(arguments, sampler, values, run, folder):
    pictures = sample(run, folder, "n=5", "seed=3", *arguments)
    loaded = load_run(run, device="cpu")
    loaded.config["generation"]["chunk"] = 16
    x = loaded.sample(5, sampler=sampler, seed=3, **values)
    assert x.shape == (5, 1, 8, 8) and x.min() >= -1 and x.max() <= 1
    scaling = loaded.parts.data.scaling
    assert np.array_equal(scaling.picture(scaling.decode(x)).permute(0, 2, 3, 1).numpy(), pictures)


def test_load_run_takes_a_sampler_object(run):
    loaded = load_run(run, device="cpu")
    x = loaded.sample(3, DDIM(Uniform(), 5, clip=True, eta=0.0, variance=Posterior()))
    assert torch.equal(x, loaded.sample(3, "ddim", steps=5, eta=0.0))


def test_load_run_holds_the_average_in_evaluation_mode(run):
    loaded = load_run(run, device="cpu")
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for name, weight in loaded.parts.denoiser.state_dict().items():
        assert torch.equal(weight, saved["state_dict"][f"denoiser.{name}"])
    assert loaded.step == 20
    assert not loaded.parts.denoiser.training


def test_bits_per_dim_of_the_test_images_is_the_figure_of_the_run(run):
    """Other noise and another set of weights for the terms, so equal within their Monte-Carlo errors."""
    loaded = load_run(run, device="cpu")
    data = loaded.parts.data
    mean, stderr = loaded.bits_per_dim(data.scaling.encode(data.test.pixels))
    found = figures(run)
    noise = math.hypot(found["test/bits_per_dim_stderr"], stderr)
    assert 0 < stderr < 0.2
    assert mean == pytest.approx(found["test/bits_per_dim"], abs=4 * noise)


def test_an_evaluation_with_the_settings_of_the_run_gives_its_figures(run, folder):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and ".hydra" not in path.parts}
    code, text = script("evaluate", [f"run={run}"], folder)
    assert code == 0, text
    *earlier, record = records(run)
    assert len(earlier) == 1
    found = figures(run)
    evaluated = {name: value for name, value in found.items() if name.startswith("test/")}
    assert {name: record[name] for name in evaluated} == pytest.approx(evaluated, rel=1e-6, nan_ok=True)
    for path, content in before.items():
        assert path.read_bytes()[: len(content)] == content  # nothing is overwritten, evaluations.jsonl grows


def test_commas_make_a_grid_and_the_working_folder_stays_clean(run, folder):
    here = {path.name for path in folder.iterdir()}
    count = len(records(run))
    quick = ("metrics.likelihood=false", "metrics.samples=40")
    code, text = script("evaluate", [f"run={run}", "sampler=ddim", "sampler.steps=2,3", *quick], folder)
    assert code == 0, text
    new = records(run)[count:]
    assert [record["settings"]["sampler"]["steps"] for record in new] == [2, 3]
    assert [record["test/network_calls"] for record in new] == [2, 3]
    assert {path.name for path in folder.iterdir()} == here
    assert not (run / "multirun.yaml").exists()
    (table,) = (run / "evaluations").glob("*/table.csv")
    assert str(table) in text and "2 evaluations" in text
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sampler.steps"] for row in rows] == ["2", "3"]
    found = [float(row["test/fd_classifier"]) for row in rows]
    assert found == [record["test/fd_classifier"] for record in new]
    assert Image.open(table.with_name("quality.png")).width > 500
    assert not table.with_name("ema_lengths.png").exists()
    assert not list((run / "samples").glob("unfinished-*"))


def test_a_grid_of_samplers_scores_the_test_images_once(run, folder, tmp_path):
    count = len(records(run))
    quick = ("metrics.images=8", "metrics.draws=1", "metrics.samples=40", "sampler.steps=2,3")
    prepare = partial(scored_into, tmp_path / "scored.txt")
    code, text = script("evaluate", [f"run={run}", *quick], folder, prepare=prepare)
    assert code == 0, text
    one, two = records(run)[count:]
    bits = [name for name in one if "bits_per_dim" in name]
    assert len(bits) > 8 and all(one[name] == two[name] for name in bits)
    assert (one["test/network_calls"], two["test/network_calls"]) == (2, 3)
    assert read(tmp_path / "scored.txt") == "scored\n"
    code, text = script("evaluate", [f"run={run}", *quick[:-1], "likelihood.batch=64,128"], folder, prepare=prepare)
    assert code == 0, text
    assert read(tmp_path / "scored.txt") == "scored\n" * 3


def test_an_interrupted_grid_keeps_and_shows_what_was_done(run, folder):
    count = len(records(run))
    quick = ("metrics.likelihood=false", "metrics.samples=40", "sampler.steps=2,3,4")
    code, text = script("evaluate", [f"run={run}", *quick], folder, prepare=partial(interrupted_at, 3))
    assert code == 130
    assert [record["test/network_calls"] for record in records(run)[count:]] == [2, 3]
    assert "2 evaluations" in text and "interrupted" in text


def test_two_processes_evaluate_as_one(run, folder):
    """A ragged last chunk, and test images that do not share out evenly; nothing is counted twice."""
    count = len(records(run))
    quick = ("metrics.images=37", "metrics.draws=2", "metrics.samples=45", "generation.chunk=16", "sampler.steps=3")
    for devices in (1, 2):
        code, text = script("evaluate", [f"run={run}", f"devices={devices}", *quick], folder)
        assert code == 0, text
    one, two = records(run)[count:]
    assert one.keys() == two.keys()
    for name in one:
        if "bits_per_dim" in name:
            assert two[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9)
        elif name.startswith("test/"):
            assert two[name] == pytest.approx(one[name], rel=1e-4)


@pytest.mark.parametrize(("signum", "devices"), [(SIGKILL, 1), (SIGTERM, 2)])
def test_an_ended_generation_goes_on_where_it_was(run, folder, tmp_path, signum, devices):
    """The same bits as without the interruption, with another number of processes, and no process stays behind."""
    arguments = ("n=306", "seed=7", "sampler.steps=30")
    expected = sample(run, folder, *arguments)
    command = [f"run={run}", f"out={tmp_path}", "chunk=16", *arguments]
    child = start("sample", [*command, f"devices={devices}"], folder)
    chunks = partial(run.glob, "samples/unfinished-*/*.safetensors")
    while child.is_alive() and len(list(chunks())) < 3:
        time.sleep(0.02)
    assert child.pid is not None
    others = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signum)
    child.join(60)
    assert child.exitcode in (-SIGKILL, 143), read(folder / "errors.txt")
    assert not psutil.wait_procs(others, timeout=30)[1]
    there = len(list(chunks()))
    assert 3 <= there < 20
    code, text = script("sample", command, folder, prepare=telling)
    assert code == 0, text
    assert f"going on with {there} of 20 chunks" in text
    (file,) = tmp_path.glob("*.npz")
    assert np.array_equal(np.load(file)["arr_0"], expected)
    assert not list((run / "samples").glob("unfinished-*"))


def test_figures_along_the_length_of_the_average(tmp_path):
    """The tracked lengths and one between; each changes the figures, and all are in one picture."""
    small = ("model=mlp", "model.width=16", "features.steps=100", "likelihood.estimate.steps=8", "ema.snapshot_every=2")
    code, text = script("train", ["debug=quick", "trainer.accelerator=cpu", "ema=power", *small], tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    quick = ("metrics.images=8", "metrics.samples=40")
    code, text = script("evaluate", [f"run={run}", "ema.length=0.05,0.08,0.1", *quick], tmp_path)
    assert code == 0, text
    new = records(run)[1:]
    assert [record["settings"]["ema"]["length"] for record in new] == [0.05, 0.08, 0.1]
    for name in ("test/bits_per_dim", "test/fd_classifier"):
        assert len({record[name] for record in new}) == 3
    (table,) = (run / "evaluations").glob("*/table.csv")
    with table.open() as file:
        assert [row["ema.length"] for row in csv.DictReader(file)] == ["0.05", "0.08", "0.1"]
    assert Image.open(table.with_name("ema_lengths.png")).width > 1000
    assert not table.with_name("quality.png").exists()
    few, others = (sample(run, tmp_path, "n=4", f"ema.length={length}") for length in (0.05, 0.1))
    assert np.array_equal(few, sample(run, tmp_path, "n=4")) and not np.array_equal(few, others)


@pytest.fixture
def copy(run, tmp_path):
    """A run folder to spoil."""
    return shutil.copytree(run, tmp_path / "run")


def test_samples_that_are_no_numbers_are_refused_by_their_number(copy, folder):
    path = copy / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    for weights in content["state_dict"].values():
        weights.fill_(float("nan"))
    torch.save(content, path)
    for name, arguments in (("sample", ["n=3"]), ("evaluate", ["metrics.likelihood=false"])):
        code, text = script(name, [f"run={copy}", *arguments], folder)
        assert code == 2
        (line,) = [line for line in text.splitlines() if "HYDRA" not in line]
        assert line.startswith("refused: samples: image 0 is not finite")
    assert len(records(copy)) == len(read(copy / "evaluations.jsonl").splitlines())


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_a_run_without_a_checkpoint_is_refused(copy, folder, name):
    shutil.rmtree(copy / "checkpoints")
    code, text = script(name, [f"run={copy}"], folder)
    assert code == 2
    (line,) = [line for line in text.splitlines() if "HYDRA" not in line]
    assert line == f"refused: run: there is no checkpoint in {copy}; allowed are runs that have saved one"


def test_exact_likelihood_agrees_with_the_estimate(tmp_path):
    """On a chain of 32 steps, where all terms are few."""
    small = ("model=mlp", "model.width=16", "schedule.T=32", "sampler.steps=4", "metrics.distances=null")
    code, text = script("train", ["debug=quick", "trainer.accelerator=cpu", *small], tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    code, text = script("evaluate", [f"run={run}", "likelihood=exact"], tmp_path)
    assert code == 0, text
    exact, found = records(run)[-1], figures(run)
    noise = math.hypot(exact["test/bits_per_dim_stderr"], found["test/bits_per_dim_stderr"])
    assert exact["test/bits_per_dim"] == pytest.approx(found["test/bits_per_dim"], abs=4 * noise)
    assert (run / "evaluations").is_dir()


@pytest.mark.parametrize(
    ("name", "arguments", "fragments"),
    [
        ("sample", ["n=0"], ["n: 0", "whole numbers from 1"]),
        ("sample", ["seed=-1"], ["seed: -1", "whole numbers from 0"]),
        ("sample", ["chunk=0"], ["chunk: 0", "whole numbers from 1"]),
        ("sample", ["sampler=nope"], ["sampler: nope", "ancestral, ddim"]),
        ("sample", ["sampler.steps=1001"], ["sampler.steps: 1001", "1 to T = 1000"]),
        ("sample", ["sampler=ddim", "sampler.eta=1.5"], ["sampler.eta: 1.5", "from 0 to 1"]),
        ("sample", ["sampler=ancestral", "sampler.eta=0.5"], ["sampler.eta: unknown", "sampler=ddim"]),
        ("sample", ["classes=[0,1]"], ["classes: [0, 1]", "null"]),
        ("sample", ["checkpoint=step_000011.ckpt"], ["step_000011.ckpt", "there is no checkpoint"]),
        ("sample", ["trainer.max_steps=3"], ["trainer: unknown", "allowed are run, checkpoint"]),
        ("evaluate", ["likelihood.estimate.steps=3"], ["likelihood.estimate.steps: 3", "even numbers"]),
        ("evaluate", ["metrics.samples=20"], ["metrics.samples: 20", "32"]),
        ("evaluate", ["metrics.samples=0"], ["metrics.samples: 0", "whole numbers from 1"]),
        ("evaluate", ["devices=0"], ["devices: 0", "whole numbers from 1"]),
        ("evaluate", ["ema.length=-1"], ["ema.length: -1", "positive numbers"]),
        ("evaluate", ["ema.length=0.05"], ["ema.length: 0.05", "ema=power"]),
        ("evaluate", ["checkpoint=nope.ckpt"], ["checkpoint: there is no checkpoint nope.ckpt", "last.ckpt"]),
        ("evaluate", ["sampler.steps=many"], ["sampler.steps: many", "whole numbers"]),
        ("evaluate", ["likelihood=nope"], ["likelihood: nope", "exact, ode, stratified"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_settings_that_do_not_fit_are_refused(name, arguments, fragments, run, folder):
    count, errors = len(records(run)), len(read(folder / "errors.txt"))
    code, _ = script(name, [f"run={run}", *arguments], folder)
    message = read(folder / "errors.txt")[errors:]
    assert code == 2, message
    assert message.startswith("refused: ") and "Traceback" not in message
    assert len(message.splitlines()) <= 3
    assert all(fragment in message for fragment in fragments), message
    assert len(records(run)) == count


def test_a_grid_goes_on_after_a_refused_point_and_ends_with_1(run, folder):
    count = len(records(run))
    quick = ("metrics.likelihood=false", "metrics.samples=40")
    code, text = script("evaluate", [f"run={run}", "sampler.steps=1001,3", *quick], folder)
    assert code == 1
    assert "sampler.steps: 1001" in text
    assert [record["settings"]["sampler"]["steps"] for record in records(run)[count:]] == [3]


def test_load_run_refuses_what_does_not_fit(run, tmp_path):
    loaded = load_run(run, device="cpu")
    for call, message in (
        (lambda: loaded.sample(0), "n: 0; allowed are whole numbers from 1"),
        (lambda: loaded.sample(2, "nope"), "sampler: nope; allowed are ancestral, ddim"),
        (lambda: loaded.sample(2, "ddim", steps=1001), "sampler.steps: 1001; allowed are 1 to T = 1000"),
        (lambda: loaded.sample(2, "ddim", steps=0), "sampler.steps: 0; allowed are whole numbers from 1"),
        (lambda: loaded.sample(2, "ddim", eta=2.0), "sampler.eta: 2.0; allowed are numbers from 0 to 1"),
        (lambda: loaded.sample(2, "ddim", churn=2.0), "sampler.churn: unknown; allowed are grid, steps"),
        (lambda: loaded.sample(2, churn=2.0), "sampler.churn: unknown"),
        (lambda: loaded.bits_per_dim(torch.zeros(2, 3, 8, 8)), r"x: shape \(2, 3, 8, 8\); allowed are \[N, 1, 8, 8\]"),
        (
            lambda: loaded.bits_per_dim(torch.zeros(2, 1, 8, 8), "nope"),
            "likelihood: nope; allowed are continuous, exact, ode, stratified",
        ),
        (lambda: load_run(tmp_path), "run: .* is not a run folder"),
        (lambda: load_run(run, "nope.ckpt"), "run: there is no checkpoint .*nope.ckpt"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


def test_load_run_works_on_a_copy_without_hydras_files(run, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(run / "config.yaml", tmp_path)
    shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "checkpoints")
    assert torch.equal(load_run(tmp_path, device="cpu").sample(2), load_run(run, device="cpu").sample(2))
