"""What answers before anything heavy is imported: help, the composed config, the library's own name."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.runs.paths import CONFIGS

sys.path.insert(0, str(Path(__file__).parent))
from children import REPOSITORY, shell

pytestmark = pytest.mark.slow  # whole runs in processes of their own

COMMANDS = ("train.py", "scripts/evaluate.py", "scripts/sample.py")


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory) -> str:
    """A PYTHONPATH on which torch and lightning cannot be imported."""
    folder = tmp_path_factory.mktemp("without_torch")
    for name in ("torch", "lightning"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return f"{folder}:{REPOSITORY / 'src'}"


def answer(arguments: list[str], folder: Path, path: str) -> str:
    child = shell(arguments, folder, PYTHONPATH=path)
    stdout, stderr = child.communicate()
    assert child.returncode == 0, stdout + stderr
    assert not stderr
    assert not list(folder.iterdir())
    return stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_without_torch(command, tmp_path, without_torch):
    text = answer([command, "--help"], tmp_path, without_torch)
    assert f"{Path(command).stem} is powered by Hydra" in text
    for group in ("sampler", "grid", "variance"):
        assert f"{group}: {', '.join(sorted(p.stem for p in (CONFIGS / group).glob('*.yaml')))}" in text


def test_a_reader_may_have_seen_enough_of_the_help(tmp_path, without_torch):
    child = shell(["train.py", "--help"], tmp_path, PYTHONPATH=without_torch)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    assert not child.stderr.read()
    assert child.wait() == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_the_composed_config_is_shown_without_torch(command, tmp_path, without_torch):
    config = OmegaConf.create(answer([command, "--cfg", "job", "sampler.steps=7"], tmp_path, without_torch))
    assert config.sampler.steps == 7


def test_importing_difflab_imports_no_torch(without_torch, tmp_path):
    code = "import difflab, sys; print(difflab.__version__, difflab.__all__); assert 'hydra' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": without_torch}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
