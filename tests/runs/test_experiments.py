"""Each experiment with its own study, shortened: figures that are numbers, tables, and pictures of something.

And what two of them are about: schedule.auto takes its numbers from the data, annealing finds the weights of modes.
"""

import csv
import json
import sys
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from difflab.runs.assemble import data_of
from difflab.schedules import ncsnv2
from tests.conftest import composed, options

sys.path.insert(0, str(Path(__file__).parent))
from children import run_folder, script

pytestmark = pytest.mark.slow  # whole runs in processes of their own

BRIEF = ("model.width=16", "model.blocks=1", "trainer.max_steps=12", "trainer.accelerator=cpu", "checkpoints.every=12")
PLANE = (*BRIEF, "metrics=none", "data.size=2000", "data.val_size=100", "data.test_size=200")
DIGITS = (*BRIEF, "model=mlp", "data.batch_size=32")
SILENT = (*DIGITS, "metrics=none")
FEATURES = ("features.width=4", "features.dimension=8", "features.steps=20")
SCORED = (
    *(*DIGITS, *FEATURES, "metrics.samples=40", "metrics.draws=1", "metrics.images=40", "metrics.every=null"),
    *("metrics.pictures=4", "likelihood.estimate.steps=2"),
)


def keys(study: str, *names: str) -> frozenset[str]:
    """Full keys of figures."""
    return frozenset(f"{study}/{name}" for name in names)


class Short(NamedTuple):
    """How an experiment is shortened.

    Attributes:
        arguments: of the command line, beside the experiment.
        figures: that its study must find, among others.
        files: that its study must leave.
        jobs: of a sweep; none for a single run.
    """

    arguments: tuple[str, ...]
    figures: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    jobs: int | None = None


SHORT = {
    "swiss_roll": Short(
        (*PLANE, "schedule.T=30", "study.samples=200", "study.permutations=19", "study.floors=2"),
        keys("swiss_roll", "energy_distance", "energy_p_value", "energy_distance_floor"),
        ("swiss_roll.png", "trajectories.png", "samples.png", "swiss_roll.csv"),
    ),
    "score_fields": Short(
        (*PLANE, "study.points=400"),
        keys(
            "score_fields", *(f"{n}_error_{w}" for n in ("one", "many", "many_coarsest") for w in ("inside", "outside"))
        ),
        ("score_fields.png", "score_fields.csv"),
        jobs=2,
    ),
    "score_matching": Short(
        (*PLANE, "study.points=500", "study.batch=250"),
        keys("score_matching", *(f"{n}_missed" for n in ("explicit", "implicit", "sliced", "sliced_vr", "score"))),
        ("score_matching.png", "score_matching.csv"),
        jobs=5,
    ),
    "sliced_noise": Short(
        (*SILENT, "trainer.max_steps=40"),
        keys("sliced_noise", *(f"noise_{n}_{what}" for n in ("0", "0.1") for what in ("loss", "spread"))),
        ("losses.png", "losses.csv"),
        jobs=2,
    ),
    "ddim_steps": Short(
        (
            *(*SILENT, *FEATURES, "schedule.T=30", "sampler.steps=5"),
            *("study.steps=[3,6]", "study.samples=20", "study.draws=2", "study.full_draws=1"),
        ),
        keys("ddim_steps", "floor", *(f"{n}_{k}" for n in ("eta0", "eta0.5", "eta1", "forward") for k in (3, 6, 30))),
        ("ddim_steps.png", "ddim_steps.csv", "ordering.csv"),
    ),
    "latent_codes": Short(
        (
            *(*SILENT, "study.steps=[5,10,20]", "study.images=8", "study.pairs=2", "study.between=5"),
            *("study.strip_steps=5", "study.codes=2", "study.tolerance=1e-3"),
        ),
        keys("latent_codes", "ode_slope", *(f"{n}_{k}" for n in ("round_trip_rms", "rms_to_ode") for k in (5, 10, 20))),
        ("errors.png", "interpolations.png", "latent_codes.csv"),
    ),
    "bound_terms": Short(
        (*SILENT, "schedule.T=30", "sampler.steps=5", "study.images=4"),
        keys(
            "bound_terms",
            *(f"{v}_{p}" for v in ("forward", "posterior", "learned") for p in ("prior", "steps", "decoder", "total")),
        ),
        ("bound_terms.png", "bound_terms.csv"),
        jobs=2,
    ),
    "ddpm_objectives": Short(
        (*SCORED, "sampler.steps=4", "ablation=objective_vlb,objective_score_1", "seed=0,1"),
        keys(
            "sweep_table",
            *(
                f"{variant}/{figure}{end}"
                for variant in ("objective_vlb", "objective_score_1")
                for figure in ("test/bits_per_dim", "test/bits_per_dim_truncated", "test/fd_classifier")
                for end in ("", "_interval")
            ),
        ),
        ("table.png", "table.csv", "table.md"),
        jobs=4,
    ),
    "ncsnv2_ablation": Short(
        (*SCORED, "sampler.inner=1", "ablation=ncsnv2,technique_2_off", "seed=0"),
        keys("sweep_table", *(f"{variant}/test/fd_classifier" for variant in ("ncsnv2", "technique_2_off"))),
        ("table.png", "table.csv", "table.md"),
        jobs=2,
    ),
    "ncsn_digits": Short((*SCORED, "sampler.inner=2")),
    "guidance": Short(
        (*SILENT, *FEATURES, "sampler.steps=4", "study.scales=[0,1,2]", "study.samples=20", "study.draws=2"),
        keys("guidance", "best_scale", "frechet_floor", *(f"frechet_{scale}" for scale in (0, 1, 2))),
        ("guidance.png", "guidance.csv", "guidance_samples.png"),
    ),
}
BELOW = {"ncsnv2_digits", "slow_mixing"}  # with what they are about
WITHOUT_STUDY = {
    "ablation_digits",
    "digits_long",
    "ncsn_fashion_mnist",
    "ncsnv2_fashion_mnist",
}  # trained in tests/configs
RECIPES = {o for o in options("experiment") if o.startswith(("cifar10_", "celeba64_")) or o.endswith("_classes")}


def numbers(folder: Path) -> dict[str, float]:
    """Its figures, which are all numbers but the error of a single draw."""
    found = json.loads((folder / "metrics.json").read_text())
    assert all(isfinite(value) for key, value in found.items() if not ("/fd_" in key and key.endswith("_stderr")))
    return found


def assert_drawn(folder: Path, files: tuple[str, ...]) -> None:
    """Pictures that are no blank sheets, tables of more than a head, and nothing else but the figures."""
    assert {path.name for path in folder.iterdir()} == {*files, "figures.json"}
    for name in files:
        if name.endswith(".png"):
            with Image.open(folder / name) as image:
                assert min(image.size) > 200
                colours = 3 if name.endswith("_samples.png") else 50  # digits have 17 greys
                assert len(image.convert("RGB").getcolors(2**22) or []) > colours
        elif name.endswith(".csv"):
            with (folder / name).open() as file:
                assert len(list(csv.DictReader(file))) > 0


def test_every_experiment_is_shortened_here():
    assert {*SHORT, *BELOW, *WITHOUT_STUDY} == set(options("experiment")) - RECIPES  # those in test_recipes.py


@pytest.mark.parametrize("name", SHORT)
def test_an_experiment_runs_with_its_study(name, tmp_path):
    short = SHORT[name]
    code, text = script("train", [f"experiment={name}", *short.arguments], tmp_path)
    assert code == 0, text
    kind = "runs" if short.jobs is None else "sweeps"
    (folder,) = (tmp_path / "outputs" / kind / name).iterdir()
    runs = [folder] if short.jobs is None else [folder / str(job) for job in range(short.jobs)]
    assert all(numbers(run)["train/steps"] > 0 for run in runs)
    if short.figures:
        assert short.figures <= numbers(folder).keys()
        (study,) = (folder / "study").iterdir()
        assert short.figures <= json.loads((study / "figures.json").read_text()).keys()
        assert_drawn(study, short.files)
    else:
        assert not (folder / "study").exists()


def test_annealing_finds_the_weights_of_modes_with_a_learned_score_and_langevin_does_not(tmp_path):
    short = (*PLANE, "model.width=32", "model.blocks=2", "trainer.max_steps=400", "data.size=5000")
    asked = ("data.batch_size=256", "sampler.inner=100", "study.samples=2000")
    code, text = script("train", ["experiment=slow_mixing", *short, *asked], tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    found = numbers(run)
    assert found["slow_mixing/true_weight"] == 0.2
    assert abs(found["slow_mixing/annealed_learned_weight"] - 0.2) < 0.05
    assert abs(found["slow_mixing/annealed_exact_weight"] - 0.2) < 0.05
    assert abs(found["slow_mixing/langevin_exact_weight"] - 0.2) > 0.15
    assert found["slow_mixing/annealed_learned_std"] == pytest.approx(
        2**0.5, abs=0.2
    )  # the data's 1, the last noise's 1
    assert_drawn(run / "study" / "slow_mixing", ("slow_mixing.png", "slow_mixing.csv"))


@pytest.fixture(scope="module")
def automatic(tmp_path_factory) -> tuple[Path, str]:
    """A run of NCSNv2 whose ladder and step size follow from the data, and what it printed."""
    folder = tmp_path_factory.mktemp("automatic")
    code, text = script("train", ["experiment=ncsnv2_digits", *SILENT, *FEATURES], folder)
    assert code == 0, text
    return run_folder(folder), text


def chosen(run: Path) -> dict[str, float]:
    """What schedule.auto chooses, as the run's config has it."""
    config = OmegaConf.load(run / "config.yaml")
    found = {f"schedule.{field}": config.schedule[field] for field in ("sigma_min", "sigma_max", "L")}
    return found | {f"sampler.{field}": config.sampler[field] for field in ("inner", "step_size")}


def test_the_numbers_of_schedule_auto_are_printed_and_kept(automatic):
    run, text = automatic
    digits = data_of(OmegaConf.to_container(composed("name=test"), resolve=True))
    x = digits.train.values.double().flatten(1) / 8 - 1
    assert (float(x.min()), float(x.max())) == (-1, 1)
    largest = float(torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").max())
    levels = ncsnv2.levels(0.02, largest, 64)
    found = chosen(run)
    assert OmegaConf.load(run / "config.yaml").schedule.auto is False
    assert (found["schedule.sigma_min"], found["schedule.L"], found["sampler.inner"]) == (0.02, levels, 5)
    assert found["schedule.sigma_max"] == pytest.approx(largest, rel=1e-6)
    ratio = (largest / 0.02) ** (1 / (levels - 1))
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64).tolist()
    least = min(grid, key=lambda a: ncsnv2.variance_ratio(ratio, 5, a))
    assert found["sampler.step_size"] == pytest.approx(least, abs=0.001)
    said = dict(line.split(" by ")[0].split(": ") for line in text.splitlines() if " by Technique " in line)
    assert {key: float(value) for key, value in said.items()} == {
        key: pytest.approx(found[key], rel=1e-4) for key in ("schedule.sigma_max", "schedule.L", "sampler.step_size")
    }


def test_a_run_of_schedule_auto_is_evaluated_as_it_was_trained(automatic, tmp_path):
    run, _ = automatic
    small = ("metrics=default", "metrics.samples=40", "metrics.draws=1", "metrics.images=20", "metrics.pictures=4")
    code, text = script("evaluate", [f"run={run}", *small, "likelihood.estimate.steps=2"], tmp_path)
    assert code == 0, text
    assert "Technique" not in text
    record = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])
    assert isfinite(record["test/bits_per_dim"]) and isfinite(record["test/fd_classifier"])
    assert record["settings"]["sampler"]["step_size"] == chosen(run)["sampler.step_size"]


def test_a_run_of_schedule_auto_goes_on_with_its_numbers(automatic, tmp_path):
    run, _ = automatic
    before = chosen(run)
    code, text = script("train", [f"resume={run}", "trainer.max_steps=15"], tmp_path)
    assert code == 0, text
    assert "Technique" not in text
    assert chosen(run) == before
    assert numbers(run)["train/steps"] == 15
