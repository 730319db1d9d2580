"""Networks as ONNX graphs, run by onnxruntime."""

import builtins
import json
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from difflab.condition import Classes, Condition
from difflab.errors import ConfigError
from difflab.interop.onnx_file import Differs, Onnx, Told, compare, inputs
from difflab.models import UNet
from difflab.prediction import Denoiser, Eps
from difflab.runs.build import build
from tests.conftest import composed, option


def run_of(network: nn.Module, conditioning=None, shape=(1, 8, 8)):
    """As much of a run as is exported."""
    denoiser = Denoiser(network, option("schedule", "linear"), Eps(), conditioning)
    return SimpleNamespace(parts=SimpleNamespace(denoiser=denoiser, data=SimpleNamespace(shape=shape)))


@pytest.fixture
def network() -> UNet:
    """Told classes; every weight drawn."""
    section = composed("model=unet", "model.channels=8", "model.groups=4", "model.attention=[4]").model
    torch.manual_seed(0)
    made = build(section, "model", shape=(1, 8, 8), classes=3)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    return made.eval()


@pytest.mark.slow
def test_the_graph_answers_as_the_network_for_any_batch(network, tmp_path):
    path = tmp_path / "model.onnx"
    Onnx().write(run_of(network, Classes(drop=0.1)), {"step": 7, "shape": [1, 8, 8]}, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["x", "c_noise", "classes"]
    for batch in (1, 4):
        x, c_noise, classes = torch.randn(batch, 1, 8, 8), torch.rand(batch) * 999, torch.arange(batch) % 4 - 1
        told = {"x": x.numpy(), "c_noise": c_noise.numpy(), "classes": classes.numpy()}
        (answer,) = session.run(["output"], told)
        with torch.no_grad():
            expected = network(x, c_noise, Condition(classes=classes)).numpy()
        np.testing.assert_allclose(answer, expected, atol=1e-4 * max(1, np.abs(expected).max()))
        assert np.abs(expected).max() > 0.1
    said = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert (said["step"], said["shape"]) == (7, [1, 8, 8])


class Session:
    """A graph that answers something else."""

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in ("x", "c_noise", "classes")]

    def run(self, names, told):
        return [told["x"] + 1e-2]


def test_another_answer_than_torchs_is_a_failure():
    class Echo(nn.Module):
        def forward(self, x, c_noise, condition=None):
            return x

    kinds = {"classes": ()}
    with pytest.raises(Differs, match=r"onnxruntime answers differently than torch, by 0\.01"):
        compare(Session(), Told(Echo(), ["classes"]), inputs(2, (1, 4, 4), kinds))


def test_missing_libraries_are_named(network, monkeypatch, tmp_path):
    known = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError("no", name=name)
        return known(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"format: onnx; onnxruntime is missing: pip install 'difflab\[interop\]'"):
        Onnx().write(run_of(network), {}, tmp_path / "x.onnx")


def test_what_has_no_weights_is_refused(tmp_path):
    class Echo(nn.Module):
        def c_noise(self, schedule, t):
            return t

    with pytest.raises(ConfigError, match="format: onnx; Echo has no weights"):
        Onnx().write(run_of(Echo()), {}, tmp_path / "x.onnx")
