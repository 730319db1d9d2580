"""scripts/export.py: the averaged weights as a file that is read without running anything, and used again."""

import json
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file

from difflab import load_run

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train
from children import script as any_script

pytestmark = pytest.mark.slow  # whole runs in processes of their own


def script(name: str, arguments: list[str], folder: Path) -> tuple[int, str]:
    """The export, whose task lies beside the formats."""
    return any_script(name, arguments, folder, task="difflab.interop.export")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """A run of a few steps with two averages."""
    code, text = train("ema=power", "ema.snapshot_every=2", "trainer.max_steps=6", folder=folder)
    assert code == 0, text
    return run_folder(folder)


def metadata(path: Path) -> dict[str, str]:
    """What a file says beside its tensors."""
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_the_file_holds_the_average_of_the_checkpoint(run, folder):
    code, text = script("export", [f"run={run}"], folder)
    assert code == 0, text
    path = run / "export" / "model.safetensors"
    assert str(path) in text
    assert {other.name for other in path.parent.iterdir()} == {path.name}
    exported = load_file(path)
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    average = {k.removeprefix("denoiser."): w for k, w in saved["state_dict"].items() if k.startswith("denoiser.")}
    assert exported.keys() == average.keys()
    assert all(torch.equal(exported[name], weight) for name, weight in average.items())
    raw = saved["current_model_state"]
    assert any(not torch.equal(exported[name], raw[f"denoiser.{name}"]) for name in exported)


def test_its_metadata_is_what_it_takes_to_use_it(run, folder):
    code, text = script("export", [f"run={run}", f"out='{folder / 'there' / 'w.safetensors'}'"], folder)
    assert code == 0, text
    said = metadata(folder / "there" / "w.safetensors")
    assert said.pop("format") == "pt"
    about = {key: json.loads(value) for key, value in said.items()}
    assert about["config"] == OmegaConf.to_container(OmegaConf.load(run / "config.yaml"), resolve=False)
    assert "${" not in said["config"]
    assert (about["step"], about["shape"], about["levels"]) == (6, [1, 8, 8], 17)
    assert (about["checkpoint"], about["ema_length"]) == ("last.ckpt", None)
    assert torch.__version__.startswith(about["versions"]["torch"])
    loaded = load_run(run, device="cpu")
    assert about["sigma_data"] == loaded.parts.data.sigma_data
    before = loaded.sample(2)
    for weight in loaded.parts.denoiser.parameters():
        weight.data.zero_()
    loaded.parts.denoiser.load_state_dict(load_file(folder / "there" / "w.safetensors"))
    assert torch.equal(loaded.sample(2), before)


def test_another_average_of_an_earlier_checkpoint(run, folder):
    code, text = script("export", [f"run={run}", "ema.length=0.1", "checkpoint=step_000003.ckpt"], folder)
    assert code == 0, text
    path = run / "export" / "model_ema0.1.safetensors"
    tracked = torch.load(run / "checkpoints" / "step_000003.ckpt", weights_only=True)["averages"]["0.1"]
    exported = load_file(path)
    assert all(torch.equal(exported[name.removeprefix("denoiser.")], weight) for name, weight in tracked.items())
    said = metadata(path)
    assert (json.loads(said["step"]), json.loads(said["ema_length"])) == (3, 0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "run: null; allowed are run folders"),
        (["run={run}", "format=safetensor"], "did you mean safetensors? allowed are diffusers, onnx, safetensors"),
        (["run={run}", "format=diffusers"], "format: diffusers; model MLP is no UNet2DModel: allowed is UNet"),
        (
            ["run={run}", "format=diffusers", "out={run}"],
            "is there and is no exported pipeline; allowed are",
        ),
        (["run={run}", "out={run}"], "is a folder; allowed are files"),
        (["run={run}", "out={run}/config.yaml/x"], "cannot be written"),
        (["run={run}", "checkpoint=best"], "there is no checkpoint best"),
        (["run={run}/checkpoints"], "is not a run folder"),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments, message, run, folder):
    code, text = script("export", [argument.replace("{run}", str(run)) for argument in arguments], folder)
    assert code == 2, text
    (line,) = [line for line in text.splitlines() if line.startswith("refused: ")]
    assert message in line


BRIEF = ("metrics=none", "trainer.max_steps=1", "trainer.accelerator=cpu", "data.batch_size=8", "name=test")


def test_a_pipeline_replaces_an_earlier_one(tmp_path):
    small = ["model=unet", "model.channels=8", "model.attention=[4]", "schedule.T=50", "model.groups=4"]
    code, text = any_script("train", [*small, *BRIEF], tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    for _ in range(2):
        code, text = script("export", [f"run={run}", "format=diffusers"], tmp_path)
        assert code == 0, text
        assert str(run / "export" / "diffusers") in text
        assert {path.name for path in (run / "export").iterdir()} == {"diffusers"}
    names = {path.name for path in (run / "export" / "diffusers").rglob("*") if path.is_file()}
    assert names == {
        *("model_index.json", "README.md", "scheduler_config.json", "config.json"),
        "diffusion_pytorch_model.safetensors",
    }
