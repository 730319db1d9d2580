"""torch.hub and torch-fidelity on a stand-in for the authors' code, and the refusals of what is not there."""

import shutil
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA

from difflab.data import Images
from difflab.errors import ConfigError
from difflab.features import DINOv2, Extractor, dinov2
from tests.conftest import option

# Like the authors' entry points: builds a network, reads the weights in torch's cache, and takes what fits of them.
HUBCONF = """
import torch

dependencies = ["torch"]


def dinov2_vits14():
    net = torch.nn.Sequential(torch.nn.AvgPool2d(56), torch.nn.Flatten(), torch.nn.Linear(48, 384))
    url = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth"
    net.load_state_dict(torch.hub.load_state_dict_from_url(url, map_location="cpu"), strict=False)
    return net
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """torch's cache, empty, and nothing answers."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies of its first use
    monkeypatch.setenv("XFORMERS_DISABLED", "1")  # torch-fidelity sets it and leaves it
    yield tmp_path / "hub"
    sys.modules.pop("hubconf", None)


def weights(hub, state):
    (hub / "checkpoints").mkdir(parents=True, exist_ok=True)
    path = hub / "checkpoints" / "dinov2_vits14_pretrain.pth"
    torch.save(state, path)
    return path


def code(hub):
    folder = hub / "facebookresearch_dinov2_main"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(HUBCONF)


def state(seed=0):
    torch.manual_seed(seed)
    return {"2.weight": torch.randn(384, 48), "2.bias": torch.randn(384)}


def prepared(model="dinov2-vit-s-14"):
    extractor = DINOv2(model, batch=2)
    part = Images(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), None)
    extractor.prepare(part, part, None, "", Path("nowhere"))
    return extractor


def refusal(*arguments):
    with pytest.raises(ConfigError) as caught:
        prepared(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_network_that_torch_hub_gives_is_used(hub):
    code(hub)
    weights(hub, state())
    extractor = prepared()
    x = torch.randint(256, (3, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features, logits = extractor.extract(x)
    mean, std = ([255 * v for v in values] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    scaled = (x - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    pooled = scaled.reshape(3, 3, 4, 56, 4, 56).mean((3, 5)).flatten(1)
    torch.testing.assert_close(features, pooled @ state()["2.weight"].T + state()["2.bias"], rtol=1e-4, atol=1e-4)
    assert logits is None
    assert features.shape == (3, extractor.dimension)
    assert isinstance(extractor, Extractor)
    assert not extractor.published and not extractor.cmmd
    weights(hub, state(1))
    assert prepared().identity() != extractor.identity()


def test_weights_that_do_not_fit_are_refused_and_not_left_out(hub):
    code(hub)
    path = weights(hub, {"2.weight": torch.zeros(384, 48), "other": torch.zeros(3)})
    assert f"features.weights: {path} does not fit dinov2_vits14: " in refusal()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_weights_are_never_unpickled(hub, tmp_path):
    code(hub)
    path = weights(hub, state() | {"more": Bomb(tmp_path / "ran")})
    assert f"{path} holds more or less than plain tensors" in refusal()
    assert not (tmp_path / "ran").exists()


def test_absent_and_offline_says_what_to_put_where(hub):
    said = refusal()
    assert f"dinov2_vits14_pretrain.pth is not in {hub}/checkpoints" in said
    assert "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth" in said
    weights(hub, state())
    said = refusal()
    assert f"put https://github.com/facebookresearch/dinov2, branch main, into {hub} as the folder " in said
    assert "facebookresearch_dinov2_main" in said
    code(hub)
    prepared()
    shutil.rmtree(hub)


def test_every_model_of_torch_fidelity_is_there():
    assert set(dinov2.MODELS) == set(MODEL_METADATA)
    assert option("features", "dinov2").dimension == 1024
    with pytest.raises(ConfigError, match=r"features\.model: dinov2; allowed are dinov2-vit-s-14, "):
        option("features", "dinov2", "features.model=dinov2")
