"""The README's commands run as they are written there, the long ones with an override that makes them short."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
SHORT = (
    "metrics.draws=1",
    "metrics.pictures=4",
    "sampler.steps=4",
    "likelihood.estimate.steps=2",
    "likelihood.estimate.points=2",
    "features.steps=200",
)
EXPERIMENT = ("trainer.max_steps=4", "metrics=none", "sampler.inner=5", "study.samples=200")
STUDY = (
    *("study.steps=[2,3,4]", "study.images=4", "study.pairs=1", "study.between=3", "study.strip_steps=4"),
    *("study.codes=2", "study.tolerance=0.01"),
)


sys.path.insert(0, str(REPOSITORY / "tests" / "runs"))
from children import script  # noqa: E402


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of one's own and one short finished run."""
    folder = tmp_path_factory.mktemp("readme")
    pictures = folder / "PICTURES"
    pictures.mkdir()
    for i in range(450):
        noise = np.random.default_rng(i).integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures / f"{i}.png")
    code, text = python(["train.py", "trainer.max_steps=4", "name=short", *SHORT], folder)
    assert code == 0, text
    return folder


def python(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output of `python ARGUMENTS`, in a child that has imported what most of them need."""
    path, *rest = arguments
    ((name, task),) = re.findall(r'^ *run\("(\w+)", "([\w.]+)"', (REPOSITORY / path).read_text(), re.MULTILINE)
    return script(name, rest, folder, task=task)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python")])
def test_command_runs_as_written(command, workplace):
    (run,) = (workplace / "outputs" / "runs" / "short").iterdir()
    pipeline = run / "export" / "diffusers"
    if "PIPELINE_FOLDER" in command:
        code, text = python(["scripts/export.py", f"run={run}", "format=diffusers"], workplace)
        assert code == 0, text
        command = command.replace("PIPELINE_FOLDER", str(pipeline)).replace("data=cifar10", "data=digits")
    if "CLASSES_RUN" in command:
        told = ["train.py", "condition=classes", "trainer.max_steps=2", "metrics=none", "name=told"]
        code, text = python(told, workplace)
        assert code == 0, text
        (told_run,) = (workplace / "outputs" / "runs" / "told").iterdir()
        command = command.replace("CLASSES_RUN", str(told_run))
    words = command.replace("RUN_FOLDER", str(run)).split()[1:]
    shorter = []
    if "experiment=ablation_digits" in words:
        shorter = ["trainer.max_steps=4", "metrics=none", "seed=0"]
    elif "-m" in words:
        shorter = ["metrics=none"]
    elif any(w.startswith("experiment=") for w in words):
        shorter = list(EXPERIMENT)
    elif words[0] == "scripts/study.py":
        shorter = list(STUDY)
    elif words[0] == "train.py" and not any(w.startswith("resume=") for w in words):
        shorter = [s for s in SHORT if s.split("=")[0] not in {w.split("=")[0] for w in words}]
        if not any(w.startswith("trainer.max_steps") for w in words):
            shorter.append("trainer.max_steps=4")
    if any(w.startswith("resume=") for w in words):
        words[-1] = "trainer.max_steps=6"
    if "scripts/evaluate.py" in words:
        shorter = ["metrics.draws=1"]
    if "data=image_folder" in words:
        shorter += ["data.batch_size=16", "data.val_size=16", "metrics.images=16", "generation.chunk=4"]
    code, text = python([*words, *shorter], workplace)
    assert code == 0, text


def test_make_targets_of_the_readme_exist():
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for command in COMMANDS:
        if command.startswith("make "):
            assert command.split()[1] in targets


@pytest.mark.slow
def test_library_example_runs_as_written(workplace):
    (run,) = (workplace / "outputs" / "runs" / "short").iterdir()
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = example.replace("RUN_FOLDER", str(run)) + "\nassert x.shape == (16, 1, 8, 8)\nassert 0 < stderr < mean\n"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
