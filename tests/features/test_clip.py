"""A tiny CLIP of random weights, through torch-fidelity's class; the refusals of the real ones."""

import urllib.request
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_clip import MODEL_METADATA, CLIPVisual, FeatureExtractorCLIP

from difflab.data import Images
from difflab.errors import ConfigError
from difflab.features import CLIP, Extractor, clip
from tests.conftest import option

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),  # the published files are TorchScript
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class Saved(nn.Module):
    """What the published files hold beside the image encoder is only the width of the text's projection here."""

    def __init__(self, features, side):
        super().__init__()
        self.visual = CLIPVisual(features, side, 1, 64, 32).visual
        self.text_projection = nn.Parameter(torch.zeros(8, features))

    def forward(self, x):
        return self.visual(x) + self.text_projection.sum()


def saved(path, features, side):
    """A TorchScript file like the published ones, of one block of width 64."""
    torch.manual_seed(0)
    torch.jit.trace(Saved(features, side).eval(), torch.zeros(1, 3, side, side)).save(path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("clip") / "clip.pt", 512, 224)


def prepared(path, model="clip-vit-b-32", checked=False):
    extractor = CLIP(model, None if path is None else str(path), checked, batch=2)
    part = Images(pictures(1), None)
    extractor.prepare(part, part, None, "", Path("nowhere"))
    return extractor


def pictures(n, channels=3):
    shape = (n, channels, 20, 16)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def refusal(*arguments, **change):
    with pytest.raises(ConfigError) as caught:
        prepared(*arguments, **change)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_features_are_those_of_torch_fidelity(file):
    extractor = prepared(file)
    (theirs,) = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], str(file))(pictures(2))
    features, logits = extractor.extract(pictures(2))
    assert torch.equal(features, theirs)
    assert features.std(0).mean() > 1e-3
    assert logits is None
    assert isinstance(extractor, Extractor)
    assert features.shape == (2, extractor.dimension)
    grey = pictures(3, channels=1)
    alone = torch.cat([extractor.extract(grey[i : i + 1]).features for i in range(3)])
    torch.testing.assert_close(extractor.extract(grey).features, alone, rtol=1e-4, atol=1e-4)
    assert extractor.extract(grey[:0]).features.shape == (0, 512)


@pytest.mark.slow
def test_only_the_published_large_one_is_that_of_cmmd():
    assert option("features", "clip").cmmd
    assert not option("features", "clip", "features.checked=false").cmmd
    assert not option("features", "clip", "features.model=clip-vit-l-14").cmmd
    assert not option("features", "clip").published


def test_a_file_of_another_model_is_refused(file, tmp_path):
    said = refusal(file, model="clip-vit-l-14-336px")
    assert f"{file} has 512 features at 224 pixels; clip-vit-l-14-336px has 768 at 336" in said
    other = saved(tmp_path / "other.pt", 512, 256)
    assert "has 512 features at 256 pixels; clip-vit-b-32 has 512 at 224" in refusal(other)


def test_a_file_that_is_not_the_published_one_is_refused(file):
    assert MODEL_METADATA["clip-vit-b-32"]["hash"] in refusal(file, checked=True)


def test_a_file_that_is_no_clip_is_refused(tmp_path):
    path = tmp_path / "file.pt"
    path.write_bytes(b"weights")
    assert f"{path} is no TorchScript file of CLIP" in refusal(path)
    torch.save({"visual.proj": torch.zeros(3)}, path)
    assert f"{path} is no TorchScript file of CLIP" in refusal(path)


def test_absent_and_offline_says_what_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies of its first use
    said = refusal(None, model="clip-vit-l-14-336px", checked=True)
    known = MODEL_METADATA["clip-vit-l-14-336px"]
    assert f"clip-vit-l-14-336px-{known['hash']}.pt is not in {tmp_path}/hub/checkpoints" in said
    assert f"https://openaipublic.azureedge.net/clip/models/{known['hash']}/ViT-L-14-336px.pt" in said


def test_every_model_of_torch_fidelity_is_there():
    assert set(clip.MODELS) == set(MODEL_METADATA)
    with pytest.raises(ConfigError, match=r"features\.model: clip; allowed are clip-rn50, "):
        option("features", "clip", "features.model=clip")
