"""Every YAML of every group composes, becomes objects and trains; the options are found in the folders."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from difflab.runs.paths import CONFIGS
from difflab.runs.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import any_checksum, run_folder, script, train
from tiny_data import bands, celeba, cifar10, mnist, pictures, shards, svhn

OPTIONS = {
    folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
    for folder in sorted(CONFIGS.iterdir())
    if folder.is_dir() and folder.name != "hydra"
}


def yaml(group: str, option: str) -> Any:
    """The file of an option."""
    return OmegaConf.load(CONFIGS / group / f"{option}.yaml")


TINY = (
    "model=mlp",
    "trainer.max_steps=1",
    "trainer.accelerator=cpu",
    "data.batch_size=8",
    "data.val_size=8",
    "schedule.T=32",
    "sampler.steps=4",
    "generation.chunk=8",
    "likelihood.estimate.steps=2",
    "features.steps=20",
    "name=test",
)
PICTURES = ("metrics=none", "metrics.pictures=8")
FIGURES = ("metrics.draws=1", "metrics.samples=40", "metrics.pictures=8")
OPENAI = ("model.channels=8", "model.groups=4", "model.blocks=1", "model.heads=null", "model.head_channels=4")
UNET = ("model.channels=8", "model.blocks=1")
SONG = ("model.channels=8", "model.embedding.channels=8", "model.blocks=1")
# What an option needs beside TINY, and what of TINY it cannot have; an option that is not here must run with all of it.
NEEDS = {
    ("features", "*"): FIGURES,
    ("metrics", "*"): FIGURES,
    ("metrics", "full"): ("metrics.draws=1", "metrics.samples=80", "metrics.distances.kernel.size=20"),
    ("metrics", "none"): (),
    ("metrics", "points"): (
        *("data=two_moons", "metrics.samples=40", "metrics.permutations=19", "metrics.nll=10"),
        "metrics.pictures=8",
    ),
    ("model", "exact"): ("data=gaussian_mixture", *PICTURES),
    **{("model", o): (*PICTURES, *OPENAI) for o in ("unet_improved", "unet_adm")},
    ("model", "ddpmpp"): (*PICTURES, *SONG),
    ("model", "ncsnpp"): (*PICTURES, *SONG, "c_noise=log_sigma"),
    ("model", "vdm"): (*PICTURES, *UNET),
    ("augmentation", "edm"): (*PICTURES, "model=ddpmpp", *SONG),
    **{("condition", o): (*PICTURES, *UNET) for o in ("inpainting", "super_resolution")},
    ("guidance", "classifier_free"): (*PICTURES, "condition=classes"),
    ("loss", "explicit"): ("data=gaussian_mixture", *PICTURES),
    ("experiment", "*"): (*PICTURES, "study=none", "sampler.steps=2"),  # at each of a ladder's many levels
    **{
        ("ablation", o): (*PICTURES, "experiment=ncsnv2_digits", "sampler.steps=2")
        for o in OPTIONS["ablation"]
        if "objective" not in o
    },
    ("likelihood", "*"): ("metrics=none", "metrics.likelihood=true", "metrics.images=8"),
    ("likelihood", "ode"): (
        *("metrics=none", "metrics.likelihood=true"),
        *("likelihood.images=2", "likelihood.rtol=0.1", "likelihood.atol=0.1"),
    ),
    ("variance", "*"): ("metrics=none", "metrics.likelihood=true", "loss=vlb", "sampler=ancestral"),
    ("variance", "analytic"): ("metrics=none", "metrics.likelihood=true", "sampler=ancestral"),
    ("debug", "*"): (),
}
WITHOUT = {
    ("model", "*"): {"model"},
    ("augmentation", "edm"): {"model"},
    **{("condition", o): {"model"} for o in ("inpainting", "super_resolution")},
    ("likelihood", "exact"): {"likelihood.estimate.steps"},
    ("experiment", "*"): {"model", "schedule.T"},
    **{("ablation", o): {"schedule.T"} for o in OPTIONS["ablation"] if "objective" not in o},
    ("sampler", "ode"): {"sampler.steps"},
    ("grid", "explicit"): {"schedule.T"},
    **{("schedule", name): {"schedule.T"} for name in OPTIONS["schedule"] if "T" not in yaml("schedule", name)},
}
ELSEWHERE = {  # trained in tests of their own, below or in tests/runs
    "data": {"cifar10", "fashion_mnist", "mnist", "image_folder", "svhn", "celeba", "npz", "shards", "hf"},
    "model": {"unet_cifar10", "dit_s", "dit_b", "dit_l", "dit_xl"},  # the last are dit with other numbers
    "experiment": {  # the first two are those on the digits, with other data
        *("ncsn_fashion_mnist", "ncsnv2_fashion_mnist", "fashion_mnist_classes", "photographs_classes"),
        *(o for o in OPTIONS["experiment"] if o.startswith(("cifar10_", "celeba64_"))),
    },
    "features": {"inception", "clip", "dinov2", "custom", "efficientnet_lite0"},
    "logger": {"wandb", "tensorboard"},
    "sweep": {"optuna"},
    "trainer": {"ddp", "fsdp"},
    "study": set(OPTIONS["study"]),  # in tests/studies
}


def groups_of(config: str) -> list[str]:
    """The groups in the defaults list of a config."""
    chosen = [
        key for entry in OmegaConf.load(CONFIGS / f"{config}.yaml").defaults if entry != "_self_" for key in entry
    ]
    return [group for group in chosen if "hydra" not in group]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "group", "option"),
    [
        pytest.param(config, group, option, id=f"{config} {group}={option}")
        for config in ("train", "evaluate", "sample")
        for group in groups_of(config)
        for option in OPTIONS[group]
    ],
)
def test_option_composes_and_passes_the_first_pass(config, group, option):
    name = ["name=test"] if config == "train" else []
    if option.startswith("technique_"):
        name.append("experiment=ncsnv2_digits")
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose(config, [f"{group}={option}", *name], return_hydra_config=True)
    choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
    assert choices[group] == option
    with open_dict(cfg):
        del cfg.hydra
    validate(cfg, config, choices)


def test_every_group_is_in_the_defaults_list():
    assert set(OPTIONS) == set(groups_of("train"))


def of(table: dict, group: str, option: str, otherwise: Any) -> Any:
    """The entry of an option, or that of its group."""
    return table.get((group, option), table.get((group, "*"), otherwise))


def beside(group: str, option: str) -> tuple[str, ...]:
    """The rest of the command line on which an option is trained."""
    without = of(WITHOUT, group, option, set())
    return (*(t for t in TINY if t.split("=")[0] not in without), *of(NEEDS, group, option, PICTURES))


def sweeps() -> list:
    """The options of a group that go with the same rest: one sweep trains them all."""
    found = []
    for group, options in OPTIONS.items():
        here = [o for o in options if o not in ELSEWHERE.get(group, ())]
        for rest in dict.fromkeys(beside(group, o) for o in here):
            alike = [o for o in here if beside(group, o) == rest]
            found.append(pytest.param(group, alike, rest, id=f"{group}={','.join(alike)}"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("group", "options", "rest"), sweeps())
def test_options_train_a_step(group, options, rest, tmp_path):
    rest = [item for item in rest if item.split("=")[0] != group]
    code, text = script("train", ["-m", f"{group}={','.join(options)}", *rest], tmp_path)
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["done"] * len(options), text
    assert code == 0
    for job in range(len(options)):
        finite_run(sweep / str(job))


def finite_run(run: Path) -> dict[str, float]:
    """The final figures of a run, which are numbers; undefined is only the error of a single draw."""
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["train/steps"] >= 1 or figures["model/parameters"] == 0
    bad = {k: v for k, v in figures.items() if not math.isfinite(v) and not (k.endswith("_stderr") and "/fd_" in k)}
    assert not bad
    return figures


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted(ELSEWHERE["data"]))
def test_data_of_files_trains_a_step(option, tmp_path):
    """Small files stand in for the real ones, in the same formats."""
    root = tmp_path / "files"
    prepare = None
    if option == "image_folder":
        pictures(root, side=40)
    elif option == "cifar10":
        cifar10(root)
        prepare = any_checksum
    elif option == "shards":
        shards(root)
    elif option == "hf":
        pictures(root, classes=("ant", "bee"))
    elif option == "svhn":
        svhn(root)
        prepare = any_checksum
    elif option == "celeba":
        celeba(root)
    elif option == "npz":
        root.mkdir()
        bands(root / "images.npz")
    else:
        mnist(root, {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[option])
    arguments = [*TINY, *PICTURES, f"data={option}", f"data.root={root}"]
    if option == "hf":
        arguments[-1:] = [f"data.path={root}", "data.test=null"]
    code, text = script("train", arguments, tmp_path, prepare=prepare)
    assert code == 0, text
    finite_run(run_folder(tmp_path))


@pytest.mark.slow
def test_the_published_network_trains_a_step(tmp_path):
    root = pictures(tmp_path / "files")
    small = [item for item in TINY if not item.startswith(("model", "data."))]
    arguments = [*small, "model=unet_cifar10", "metrics=none", "data=image_folder", f"data.root={root}"]
    code, text = script("train", [*arguments, "data.batch_size=2", "data.val_size=2"], tmp_path)
    assert code == 0, text
    assert finite_run(run_folder(tmp_path))["model/parameters"] == 35_746_307


@pytest.mark.slow
def test_tensorboard_gets_the_figures_of_metrics_csv(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    code, text = train("logger=tensorboard", folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    written = [(e.step, e.value) for e in events.Scalars("train/loss")]
    assert [step for step, _ in written] == [int(row["step"]) for row in rows]
    assert [value for _, value in written] == pytest.approx([float(row["train/loss"]) for row in rows], rel=1e-6)
