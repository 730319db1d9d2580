"""scripts/import_weights.py: published weights become a run folder like any other."""

import json
import math
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import save_file

from difflab import load_run
from difflab.errors import ConfigError
from difflab.guidance import ClassifierFree
from difflab.interop import diffusers, edm, openai
from difflab.interop.importing import as_text, as_training
from difflab.interop.published import Published, of_edm, of_openai, published
from difflab.interop.weight_files import weights_of
from difflab.runs.assemble import conditioning_of, told
from difflab.runs.build import build
from difflab.runs.names import register_resolvers
from difflab.runs.paths import CONFIGS
from difflab.runs.validate import validate
from tests.interop.test_edm import Theirs
from tests.interop.test_edm import state as edm_state
from tests.interop.test_openai import CIFAR10
from tests.interop.test_openai import SMALL as OPENAI
from tests.interop.test_openai import state_of as openai_state
from tests.interop.theirs import SMALL, pipeline, theirs_of

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, script, train


def composed(arguments: list[str]):
    """The config of `python scripts/import_weights.py ARGUMENTS`, which the first pass of validation lets through."""
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("import_weights", as_training(arguments), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    validate(config, "import_weights", choices)
    return config


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return pipeline(tmp_path_factory.mktemp("weights") / "small", beta_schedule="squaredcos_cap_v2")


def test_a_pipeline_says_all_of_the_run_but_its_data(small):
    config = composed([f"weights={small}"])
    assert (config.name, config.data.size, config.data.channels) == ("small", 8, 1)
    assert config.schedule._target_.endswith("Cosine") and config.schedule.T == 50
    assert (config.model.channels, config.model.attention, config.model.groups) == (16, [4], 8)
    assert config.sampler._target_.endswith("Ancestral") and config.variance._target_.endswith("Forward")


def test_what_is_typed_wins(small):
    config = composed([f"weights={small}", "schedule=linear", "data=digits", "name=other", "sampler.clip=false"])
    assert config.schedule.T == 1000 and config.name == "other" and config.data._target_.endswith("Digits")
    assert config.sampler.clip is False and config.sampler._target_.endswith("Ancestral")
    assert composed([f"weights={small}", "schedule.T=20"]).schedule._target_.endswith("Cosine")


def test_files_of_older_pipelines_lie_side_by_side(small, tmp_path):
    for path in (*(small / "unet").iterdir(), *(small / "scheduler").iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert published(str(tmp_path)).overrides() == published(str(small)).overrides()
    assert published(str(small / "unet")).overrides() == published(str(small)).overrides()


def test_a_network_in_several_files(small, tmp_path):
    theirs_of(**SMALL).save_pretrained(tmp_path, max_shard_size="100kB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    found, whole = published(str(tmp_path)), published(str(small))
    assert found.choices["variance"] == "forward"
    assert found.model == whole.model
    network = build(config_of(small)["model"], "model", shape=(1, 8, 8))
    for name, weight in found.weights(network).items():
        assert torch.equal(weight, whole.weights(network)[name])


class Shape:
    """As much of a data set as a network asks for."""

    sigma_data, classes = 0.5, None

    def __init__(self, shape, classes=None):
        self.shape, self.classes = shape, classes


def config_of(place: Path, *more: str) -> dict:
    return OmegaConf.to_container(composed([f"weights={place}", *more]), resolve=True)


def fits(found: Published, classes: int | None = None) -> dict:
    """The config of weights, whose network takes all of them."""
    said = [f"{field}={as_text(value)}" for field, value in found.overrides().items()] + ["name=test"]
    config = OmegaConf.to_container(composed(said), resolve=True)
    outputs = 2 if config["variance"]["_target_"].endswith("Learned") else 1
    data: Any = Shape(found.shape, classes)
    offers = told(config, data, conditioning_of(config, data))
    with torch.device("meta"):
        network = build(config["model"], "model", shape=found.shape, outputs=outputs, **offers)
    assert found.weights(network).keys() == network.state_dict().keys()
    return config


def test_improved_diffusion():
    config = fits(of_openai(Path("cifar10"), openai_state("meta", **CIFAR10), None))
    assert config["schedule"]["T"] == 4000 and config["c_noise"]["_target_"].endswith("ScaledIndex")
    assert config["loss"]["_target_"].endswith("Hybrid") and config["data"]["_target_"].endswith("CIFAR10")


def test_edm_of_classes():
    config = fits(of_edm(Path("edm"), edm_state(Theirs(classes=10), "meta")), classes=10)
    assert config["prediction"] == {"_target_": "difflab.prediction.EDM", "sigma_data": 0.5}
    assert config["sampler"]["_target_"].endswith("Heun") and config["schedule"]["_target_"].endswith("Karras")
    assert config["augmentation"]["_target_"]
    assert config["condition"] == {"_target_": "difflab.condition.Classes", "drop": 0.0}


def test_weights_told_every_class_know_no_other_and_what_is_typed_wins(tmp_path):
    pipeline(tmp_path, {"num_class_embeds": 3})
    conditioning = build(config_of(tmp_path)["condition"], "condition")
    with pytest.raises(ValueError, match=r"guidance\.scale: 2\.0; the network was trained with condition\.drop=0"):
        ClassifierFree(2.0, 0.0, math.inf, 0.0).check(conditioning)
    assert config_of(tmp_path, "condition.drop=0.2")["condition"]["drop"] == 0.2
    assert config_of(tmp_path, "condition=none")["condition"] == {"_target_": "difflab.condition.Unconditional"}


@pytest.mark.parametrize("name", ["32", "1e3", "null", "a-b", "Häuser", "plain_1.5"])
def test_a_folder_of_any_name(name, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.rename(Path(name))
    try:
        config = composed([f"weights={name}" if name.isascii() else f"weights='{name}'"])
    finally:
        Path(name).rename(small)
    assert (config.weights, config.name) == (name, Path(name).stem)


@pytest.mark.parametrize("weights", [diffusers.unet_weights, edm.weights, openai.weights])
def test_a_network_of_another_class_is_refused(weights):
    with pytest.raises(
        ConfigError, match=r"^model: Linear; allowed with these weights are networks of the class \w*UNet$"
    ):
        weights({}, torch.nn.Linear(1, 1))


def test_a_network_of_openais_code_that_nobody_published(tmp_path):
    save_file(openai_state(**OPENAI), tmp_path / "own.safetensors")
    with pytest.raises(ConfigError, match="none of OpenAI's published networks"):
        published(str(tmp_path / "own.safetensors"))
    said = ["untold.height=16", "untold.heads=2", f"weights={tmp_path / 'own.safetensors'}", "schedule=linear"]
    config = composed(said)
    assert (config.model.attention, config.model.heads, config.data.size) == ([8], 2, 16)
    with pytest.raises(ConfigError, match=r"untold\.heads: None beside untold\.head_channels: None"):
        as_training(said[:1] + said[2:])


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("net.pt", pickled, r"is a pickle, which can run code: .* torch\.load\(\"net\.pt\", .*weights_only=True\)"),
        ("net.pkl", pickled, r"is a pickle.* in a checkout of NVlabs/edm.*net\.safetensors"),
        ("net.safetensors", pickled, "cannot be read as safetensors"),
        ("net.txt", pickled, r"allowed are \.safetensors files and folders of diffusers"),
        ("other.safetensors", lambda p: save_file({"x": torch.ones(1)}, p), "names of no network .* such as x;"),
        ("there", Path.mkdir, r"has no unet/config\.json"),
        ("absent", lambda p: None, "is not there"),
    ],
)
def test_what_cannot_be_read_is_refused(name, make, message, tmp_path):
    make(tmp_path / name)
    with pytest.raises(ConfigError) as refusal:
        as_training([f"weights={tmp_path / name}"])
    assert re.search(message, str(refusal.value), re.DOTALL)
    assert len(str(refusal.value).splitlines()) <= 3


def test_a_folder_with_a_pickle_says_how_to_convert_it(tmp_path):
    theirs_of(**SMALL).save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ConfigError, match=r"diffusion_pytorch_model\.bin is a pickle"):
        published(str(tmp_path))


def test_the_snippet_makes_what_is_read(tmp_path, monkeypatch):
    """The three lines of the refusal, run as they stand."""
    state = {"a": torch.randn(2, 3), "b": torch.randn(4)[::2]}
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(ConfigError) as refusal:
        published(str(tmp_path / "net.pt"))
    monkeypatch.chdir(tmp_path)
    exec(str(refusal.value).partition("made by: ")[2])
    made = weights_of(tmp_path / "net.safetensors")
    assert all(torch.equal(made[name], weight) for name, weight in state.items())


@pytest.mark.parametrize("more", ["resume=x", "replay=x", "init=x", "-m"])
def test_what_only_training_does_is_refused(more, small):
    with pytest.raises(ConfigError, match=r"allowed (with train\.py|is one import at a time)"):
        as_training([f"weights={small}", more])


@pytest.mark.slow
def test_a_run_of_published_weights_is_sampled_and_trained_on(small, tmp_path):
    said = [f"weights={small}", "data=digits", "name=test"]
    code, text = script("import_weights", said, tmp_path, task="difflab.interop.importing")
    assert code == 0, text
    folder = run_folder(tmp_path)
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    run = load_run(folder, device="cpu")
    theirs = theirs_of(**SMALL)
    x, k = torch.randn(3, 1, 8, 8), torch.tensor([4, 20, 50])
    with torch.no_grad():
        told = run.parts.denoiser(x, k.double() / 50).output
        torch.testing.assert_close(told, theirs(x, k - 1).sample, atol=1e-5, rtol=1e-5)
    assert run.sample(2, steps=5).isfinite().all()
    assert run.step == 0

    code, text = train(f"resume={folder}", folder=tmp_path)
    assert code == 2 and "weights that were not trained here; allowed is init=" in text
    code, text = train(f"init={folder}", folder=tmp_path)
    assert code == 2 and "refused: init: " in text and "allowed are runs of the same network" in text, text
    network = ["model=unet", "model.channels=16", "model.attention=[4]", "optim.lr=1e-12"]
    brief = ["metrics=none", "trainer.max_steps=1", "trainer.accelerator=cpu", "data.batch_size=8", "name=test"]
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    code, text = script("train", [f"init={folder}", *network, *brief], tuned)
    assert code == 0, text
    after = torch.load(run_folder(tuned) / "checkpoints" / "last.ckpt", weights_only=True)
    before = run.parts.denoiser.state_dict()
    for state in (after["state_dict"], after["current_model_state"]):
        for name, weight in before.items():
            torch.testing.assert_close(state[f"denoiser.{name}"], weight, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["data=two_moons"], "refused: data: examples of shape (2,); allowed with these weights are (1, 8, 8)"),
        (["data=digits", "model.channels=32"], "refused: weights: of another shape: time.mlp.0.weight"),
        (["data=digits", "model.attention=[8,4]"], "refused: weights: missing: down.0.attention.norm.weight"),
    ],
)
def test_weights_of_another_network_are_refused(more, message, small, tmp_path):
    code, text = script("import_weights", [f"weights={small}", *more], tmp_path, task="difflab.interop.importing")
    assert code == 2, text
    assert message in text
