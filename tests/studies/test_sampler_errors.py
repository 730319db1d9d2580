"""The study runs small, has every sampler in it, and finds that solvers get better with calls."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from difflab.errors import ConfigError
from difflab.plots import Line, sampler_errors
from difflab.runs.folder import RunFolder
from difflab.runs.paths import CONFIGS
from difflab.studies.sampler_errors import MIXTURE, Study, main, quantiles
from tests.conftest import options

pytestmark = pytest.mark.slow  # samples of every kind


def study(folder: Path, *overrides: str) -> Path:
    """The picture of the command with these settings."""
    picture = folder / "new" / "errors.png"
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        main(compose("sampler_errors", [f"out={picture}", *overrides]), RunFolder(folder))
    return picture


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    small = ("points=300", "steps=[10,40]", "tolerances=[1e-2,1e-5]")
    return study(tmp_path_factory.mktemp("study"), *small)


@pytest.fixture(scope="module")
def rows(picture) -> list[dict[str, str]]:
    with picture.with_suffix(".csv").open() as file:
        return list(csv.DictReader(file))


def test_a_picture_is_drawn(picture):
    with Image.open(picture) as image:
        assert min(image.size) > 600
        assert len(image.convert("RGB").getcolors(2**20) or []) > 100


def test_every_sampler_is_in_the_table(rows):
    """But that of one noise level, whose samples are those of noised data however many its steps."""
    assert {row["sampler"] for row in rows} == {*options("sampler"), "exact"} - {"plain_langevin"}


def test_errors_of_solvers_fall_with_calls_and_all_samples_come_near(rows):
    curves: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["sampler"] != "exact":
            curves.setdefault(row["curve"], []).append(row)
    for name, (few, many) in curves.items():
        assert int(few["calls"]) < int(many["calls"]), name
        assert float(many["w1"]) < 0.2, name
        if few["rms"]:
            assert float(many["rms"]) < float(few["rms"]) / 2, name
    assert sum(bool(few["rms"]) for few, _ in curves.values()) == 8


def test_the_law_of_ddim_with_eta_1_is_ancestral(rows):
    w1 = {name: [row["w1"] for row in rows if row["curve"] == name] for name in ("ddim eta 1", "ancestral posterior")}
    assert w1["ddim eta 1"] == w1["ancestral posterior"]


def test_the_exact_solution_is_monotone_and_has_the_law():
    """In one dimension the flow keeps the order of its starts, so it takes quantiles to quantiles."""
    exact = Study(500)
    order = exact.start.flatten().argsort()
    assert (exact.exact.flatten()[order].diff() > 0).all()
    level = torch.special.ndtr(exact.start.flatten())
    share = (MIXTURE.weights * torch.special.ndtr((exact.exact - MIXTURE.means.T) / MIXTURE.variances.T.sqrt())).sum(1)
    # the last denoising takes the noise at t_min away, and a part of the width with it
    assert float((share - level).abs().max()) < 5e-3


def test_quantiles_are_those_of_many_samples():
    drawn = MIXTURE.sample(200_000, torch.Generator().manual_seed(3)).flatten().sort().values
    found = quantiles(5)
    assert (found.diff() > 0).all()
    torch.testing.assert_close(found, drawn[[20_000, 60_000, 100_000, 140_000, 180_000]], rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("samplers=[ddmi]", "samplers: ddmi; allowed are ddim"),
        ("steps=[10,1]", "steps: 1; allowed are whole numbers from 2"),
        ("points=1", "points: 1; allowed are whole numbers from 2"),
        ("tolerances=[2.0]", "tolerances: 2.0; allowed are numbers between"),
    ],
)
def test_what_cannot_be_drawn_is_refused(override, message, tmp_path):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        study(tmp_path, override)


def test_a_picture_of_few_samplers(tmp_path):
    """Of one panel only, and of errors that vanish or are not finite."""
    lines = [Line("a", [5, 10], [1.0, 0.0]), Line("b", [5, 10], [math.inf, 0.5])]
    sampler_errors(lines, [], [0.1, 0.2], 10, tmp_path / "left.png")
    sampler_errors([], [Line("c", [5], [0.3])], [0.1], 10, tmp_path / "right.png")
    assert {path.name for path in tmp_path.iterdir()} == {"left.png", "right.png"}


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "code"), [("ddim", 0), ("ddmi", 2)])
def test_the_command(sampler, code, tmp_path):
    settings = ["points=100", "steps=[5]", f"samplers=[{sampler}]", "out=errors.png"]
    source = CONFIGS.parent
    done = subprocess.run(
        [sys.executable, str(source / "scripts" / "sampler_errors.py"), *settings],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(source / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == ({"errors.png", "errors.csv"} if code == 0 else set())
    assert code == 0 or done.stderr.startswith("refused: samplers: ddmi; allowed are")
