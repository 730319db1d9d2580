"""An exported folder in diffusers' own pipelines: the same samples from the same noise."""

import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline

from difflab import load_run
from difflab.errors import ConfigError
from difflab.interop.export import about
from difflab.interop.pipeline import Pipeline
from difflab.runs.load import Run, option
from tests.interop.theirs import pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, script

pytestmark = pytest.mark.slow  # a process of its own makes the run


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    """The run folder of a small pipeline of diffusers."""
    folder = tmp_path_factory.mktemp("pipeline")
    arguments = [f"weights={pipeline(folder / 'small')}", "data=digits", "name=test"]
    code, text = script("import_weights", arguments, folder, task="difflab.interop.importing")
    assert code == 0, text
    return run_folder(folder)


def changed(folder: Path, **changes: str) -> Run:
    """The run with other options in some groups; its sampler visits every step."""
    run = load_run(folder, device="cpu")
    sections = {group: option(group, name, run.config) for group, name in changes.items()}
    if "schedule" in sections:
        sections["schedule"]["T"] = 50
    sampler = run.config["sampler"] | {"steps": 50, "variance": sections.get("variance", run.config["variance"])}
    return load_run(folder, device="cpu", **sections, sampler=sampler)


def written(run: Run, folder: Path) -> Path:
    """What is exported of a run."""
    Pipeline().write(run, about(run, "last.ckpt", None), folder / "out")
    return folder / "out"


def quietly(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def ours(run: Run, sampler, seed: int) -> torch.Tensor:
    """Samples from the numbers that diffusers draws of a seed, from 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        x = sampler.sample(
            run.parts.denoiser, run.parts.denoiser.schedule, lambda: torch.randn(2, 1, 8, 8, generator=generator)
        )
    return (x / 2 + 0.5).clamp(0, 1)


CHANGES = [
    {},
    {"schedule": "cosine", "prediction": "v", "variance": "posterior"},
    {"schedule": "sigmoid", "prediction": "x0"},
    {"schedule": "linear", "warp": "zero_terminal_snr", "prediction": "v"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_its_samples_are_ours(changes, imported, tmp_path):
    run = changed(imported, **changes)
    out = written(run, tmp_path)
    theirs = quietly(DDPMPipeline.from_pretrained(out))
    expected = theirs(2, torch.Generator().manual_seed(3), num_inference_steps=50, output_type="pt").images
    torch.testing.assert_close(ours(run, run.parts.sampler, 3), expected.reshape(2, 1, 8, 8), atol=1e-4, rtol=0)
    ddim = quietly(DDIMPipeline.from_pretrained(out))
    sampled = ddim(
        2, torch.Generator().manual_seed(4), num_inference_steps=10, use_clipped_model_output=True, output_type="pt"
    ).images
    chosen = run._sampler("ddim", 10, {"grid": {"_target_": "difflab.samplers.Trailing"}})
    torch.testing.assert_close(ours(run, chosen, 4), sampled.reshape(2, 1, 8, 8), atol=1e-4, rtol=0)
    assert expected.std() > 0.05


def test_the_network_is_the_one_that_was_imported(imported, tmp_path):
    out = written(load_run(imported, device="cpu"), tmp_path)
    before = DDPMPipeline.from_pretrained(imported.parents[3] / "small").unet
    after = DDPMPipeline.from_pretrained(out).unet
    assert {k: v for k, v in after.config.items() if not k.startswith("_")} == {
        k: list(v) if isinstance(v, tuple) else v for k, v in before.config.items() if not k.startswith("_")
    }
    assert all(torch.equal(after.state_dict()[name], weight) for name, weight in before.state_dict().items())


def test_its_card_says_how_and_how_good(imported, tmp_path):
    card = (written(load_run(imported, device="cpu"), tmp_path) / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: diffusers\n")
    for line in (
        "images of shape 1x8x8",
        "DDPMPipeline.from_pretrained",
        "Licence of the training data: CC BY 4.0.",
        "| model.channels | 16 |",
        "| schedule | difflab.schedules.Linear |",
        "| model/parameters | 176849 |",
    ):
        assert line in card
    assert str(imported.parents[3]) not in card


def test_what_no_pipeline_can_be_is_refused(imported, tmp_path):
    run = changed(imported, prediction="flow")
    with pytest.raises(ConfigError, match="format: diffusers; DDPMScheduler has no prediction Flow"):
        written(run, tmp_path)
    run = load_run(imported, device="cpu")
    run.config["model"]["c_noise"] = {"_target_": "difflab.models.LogSigma"}
    with pytest.raises(ConfigError, match=r"c_noise LogSigma: .* allowed is step_index"):
        written(run, tmp_path)
    assert not (tmp_path / "out").exists()
