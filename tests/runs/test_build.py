"""Configs become objects: from an allow-list, with what only the data knows filled in."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from difflab import load_run
from difflab.data import Digits
from difflab.errors import ConfigError
from difflab.models import MLP, StepIndex
from difflab.runs.build import build

sys.path.insert(0, str(Path(__file__).parent))
from children import importable, script

pytestmark = pytest.mark.slow  # whole runs in processes of their own

MLP_NODE = {
    "_target_": "difflab.models.MLP",
    "c_noise": {"_target_": "difflab.models.StepIndex"},
    "width": 8,
    "blocks": 1,
    "dropout": 0.0,
}


def test_nested_nodes_and_what_the_data_knows():
    network = build(OmegaConf.create(MLP_NODE), "model", shape=(1, 8, 8), levels=17)
    assert isinstance(network, MLP) and isinstance(network.c_noise, StepIndex)
    assert network(torch.zeros(2, 1, 8, 8), torch.zeros(2)).shape == (2, 1, 8, 8)


def test_offers_are_passed_as_they_are():
    """A run's config among them names classes too; they are nobody's to make."""
    settings, more = {"model": {"_target_": "os.system"}}, [object()]
    made = build({"_target_": "test_build_targets.keep"}, "x", ["test_build_targets"], settings=settings, more_=more)
    assert made[0] is settings and made[1] is more


def test_a_partial_waits_for_its_last_arguments():
    make = build(MLP_NODE | {"_partial_": True}, "model", shape=(1, 4, 4))
    assert isinstance(make(), MLP)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, r"model\._target_: None; allowed are"),
        (MLP_NODE | {"_target_": 5}, r"model\._target_: 5; allowed are"),
        (MLP_NODE | {"_target_": ["difflab.models.MLP"]}, r"model\._target_: .*; allowed are"),
        (MLP_NODE | {"_target_": "subprocess.Popen"}, r"model\._target_: subprocess\.Popen; allowed are"),
        (MLP_NODE | {"_target_": "difflab.models"}, r"model\._target_: difflab\.models is defined elsewhere"),
        (MLP_NODE | {"_target_": "difflab.models.unet.functional.silu"}, "functional.silu is not there"),
        (
            MLP_NODE | {"_target_": "difflab.models.mlp.prod"},
            r"difflab\.models\.mlp\.prod is defined elsewhere \(math\)",
        ),
        (MLP_NODE | {"_target_": "difflab.runs.folder.write_text"}, "write_text; allowed are"),
        (MLP_NODE | {"_target_": "difflab.models.Nowhere"}, "difflab.models.Nowhere is not there"),
        (MLP_NODE | {"c_noise": [{"_target_": "os.system"}]}, r"model\.c_noise\._target_: os\.system"),
        (MLP_NODE | {"depth": 3}, r"model\.depth: unknown; allowed are c_noise, width, blocks, dropout"),
        (MLP_NODE | {"width": 7}, r"model\.width: 7; allowed are even numbers"),
        ({k: v for k, v in MLP_NODE.items() if k != "width"}, r"model: .*missing.*'width'"),
    ],
)
def test_refusals_name_the_field(node, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        build(node, "model", shape=(1, 8, 8))
    assert "\n" not in str(refusal.value)


def test_failures_of_a_constructor_are_no_refusals():
    with pytest.raises(ZeroDivisionError):
        build({"_target_": "test_build_targets.fails"}, "x", ["test_build_targets"])


@pytest.fixture(autouse=True)
def own_targets(tmp_path_factory, monkeypatch):
    """A module of the user's own."""
    folder = tmp_path_factory.mktemp("own")
    code = "def keep(settings, more_):\n    return settings, more_\n\ndef fails():\n    return 1 / 0\n"
    (folder / "test_build_targets.py").write_text(code)
    monkeypatch.syspath_prepend(folder)


def test_data_sets_refuse_in_their_own_words():
    node = {"_target_": "difflab.data.Digits", "root": "", "batch_size": 8, "val_size": 8, "workers": -1, "flip": False}
    with pytest.raises(ConfigError, match=r"^data\.workers: -1; allowed are whole numbers from 0 on$"):
        build(node | {"seed": 0}, "data")
    assert isinstance(build(node | {"seed": 0, "workers": 0}, "data"), Digits)


def test_a_network_of_ones_own_trains_samples_and_loads_by_its_name(tmp_path):
    """An option in a folder of the user's, a class in a module of the user's: --config-dir, targets=[MODULE]."""
    (tmp_path / "configs" / "model").mkdir(parents=True)
    (tmp_path / "own_models.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Scale(nn.Module):\n"
        "    def __init__(self, c_noise, start):\n"
        "        super().__init__()\n"
        "        self.c_noise, self.scale = c_noise, nn.Parameter(torch.tensor(start))\n"
        "    def forward(self, x, c_noise):\n"
        "        return self.scale * x\n"
    )
    (tmp_path / "configs" / "model" / "scale.yaml").write_text(
        "_target_: own_models.Scale\nc_noise:\n  _target_: difflab.models.StepIndex\nstart: 0.5\n"
    )
    small = ("metrics=none", "trainer.max_steps=3", "trainer.accelerator=cpu", "name=test", "model.start=0.25")
    arguments = [f"--config-dir={tmp_path / 'configs'}", "model=scale", *small]
    prepare = partial(importable, tmp_path)
    code, text = script("train", arguments, tmp_path, prepare=prepare)
    assert code == 2 and "model._target_: own_models.Scale; allowed are" in text and "targets=[MODULE]" in text
    code, text = script("train", [*arguments, "targets=[own_models]", "name=own"], tmp_path, prepare=prepare)
    assert code == 0, text
    (run,) = (tmp_path / "outputs" / "runs" / "own").iterdir()
    sample = [f"run={run}", "n=2", "sampler=ddim", "sampler.steps=2"]
    code, text = script("sample", sample, tmp_path, prepare=prepare)
    assert code == 2 and "own_models.Scale; allowed are" in text
    code, text = script("sample", [*sample, "targets=[own_models]"], tmp_path, prepare=prepare)
    assert code == 0, text
    with pytest.raises(ConfigError, match=r"own_models\.Scale; allowed are"):
        load_run(run)
