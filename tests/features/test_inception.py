"""Against torch-fidelity's own extractor, on a file of random weights in its architecture."""

import hashlib
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from difflab.data import Images
from difflab.errors import ConfigError
from difflab.features import Extractor, Inception, inception
from difflab.runs.ranges import out_of_range
from tests.conftest import option

NOWHERE = "http://127.0.0.1:9"

pytestmark = pytest.mark.slow  # a network of 24 million weights, saved and read again


class Unloaded(FeatureExtractorInceptionV3):
    def load_state_dict(self, *_):
        pass


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights under which the features of different pictures differ, with all statistics of the normalisation."""
    nothing = BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    state = Unloaded("inception-v3-compat", ["2048"], nothing).state_dict()
    draw = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim >= 2:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draw)
        elif name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.9, 1.1, generator=draw)
        elif value.is_floating_point():
            value.normal_(0, 0.1, generator=draw)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(state, path)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pictures(n, *shape):
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def prepared(path, content=None, **change):
    extractor = Inception(**{"weights": str(path), "sha256": content or sha256(path), "batch": 2} | change)
    part = Images(pictures(2, 3, 8, 8), None)
    extractor.prepare(part, part, None, "", Path("nowhere"))
    return extractor


@pytest.fixture(scope="module")
def ours(file):
    return prepared(file)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """torch's cache is an empty folder, and nothing answers."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies of its first use
    return tmp_path / "hub" / "checkpoints"


def refusal(**change):
    """What `prepare` says."""
    with pytest.raises(ConfigError) as caught:
        prepared(**change)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800
    return str(caught.value)


def test_features_and_logits_are_those_of_torch_fidelity(file, ours):
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(file))
    for shape in ((3, 32, 32), (3, 20, 30)):
        x = pictures(2, *shape)
        features, logits = theirs(x)
        extracted = ours.extract(x)
        assert torch.equal(extracted.features, features)
        assert torch.equal(extracted.logits, logits)
        assert extracted.features.shape == (2, ours.dimension)
        assert logits.shape == (2, 1008)
        assert features.std(0).mean() > 1e-3
        assert not extracted.features.requires_grad


def test_grey_is_three_equal_channels_and_a_batch_changes_rounding_only(ours):
    grey = pictures(3, 1, 12, 12)
    together = ours.extract(grey)
    assert together.features.std(0).mean() > 1e-3
    for i in range(3):
        alone = ours.extract(grey[i : i + 1].repeat(1, 3, 1, 1))
        torch.testing.assert_close(together.features[i : i + 1], alone.features, rtol=1e-4, atol=1e-5)


def test_no_pictures_give_no_features(ours):
    features, logits = ours.extract(pictures(0, 3, 8, 8))
    assert features.shape == (0, 2048)
    assert logits.shape == (0, 1008)


def test_it_is_an_extractor_that_is_not_called_fid(ours):
    assert isinstance(ours, Extractor)
    assert not ours.published and not ours.cmmd
    assert ours.figures() == {} == ours.describe(ours.extract(pictures(1, 3, 8, 8)))
    assert not ours.network.training


def test_only_the_published_hash_is_called_fid():
    assert option("features", "inception").published
    assert not option("features", "inception", "features.sha256=null").published
    own = Inception(weights=None, sha256="00" * 32, batch=1)
    assert not own.published


def test_preparing_again_is_the_same_and_leaves_the_random_state_of_the_caller(file, ours):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert prepared(file).identity() == ours.identity()
    assert torch.equal(torch.get_rng_state(), before)


def test_other_weights_have_another_identity(file, ours, tmp_path):
    state = torch.load(file)
    state["fc.bias"][7] += 1
    torch.save(state, tmp_path / "other.pth")
    assert prepared(tmp_path / "other.pth", sha256=None).identity() != ours.identity()


def test_the_cached_file_is_found(file, offline, monkeypatch):
    offline.mkdir(parents=True)
    (offline / inception.FILE).hardlink_to(file)
    monkeypatch.setattr(inception, "PUBLISHED", sha256(file)[:8])
    assert prepared(file, weights=None, content=sha256(file)[:8]).published
    said = refusal(path=file, weights=None, content="6726825d")
    assert f"{offline / inception.FILE} of " in said
    assert f"has the sha256 {sha256(file)}; expected is 6726825d..." in said


def test_absent_and_offline_says_what_to_put_where(file, offline):
    said = refusal(path=file, weights=None)
    assert "weights-inception-2015-12-05-6726825d.pth is not in" in said
    assert str(offline) in said
    assert "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05" in said
    assert not [f for f in offline.iterdir() if f.suffix != ".lock"]


def test_a_path_that_is_not_there(tmp_path):
    assert f"features.weights: {tmp_path}/none.pth; no such file" in refusal(path=tmp_path / "none.pth", content="ab")
    assert "no such file" in refusal(path=tmp_path, content="ab")


def test_a_file_of_the_wrong_size_or_hash(file, tmp_path):
    cut = tmp_path / "cut.pth"
    cut.write_bytes(file.read_bytes()[:1_000_000])
    said = refusal(path=cut, content=sha256(file))
    assert f"{cut} of 1,000,000 bytes has the sha256 {sha256(cut)}; expected is {sha256(file)}" in said


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def contents(folder):
    """Files that are no weights, by what is said of them."""
    return {
        "more or less than plain tensors": {"fc.bias": torch.zeros(3), "more": Bomb(folder / "ran")},
        "no tensors by name": [torch.zeros(3)],
        "does not fit": {"fc.bias": torch.zeros(3)},
    }


@pytest.mark.parametrize("said", contents(Path()))
def test_what_is_no_weights_is_refused_and_never_unpickled(said, tmp_path):
    path = tmp_path / "file.pth"
    torch.save(contents(tmp_path)[said], path)
    for content in (sha256(path), None):
        assert said in refusal(path=path, sha256=content)
    assert not (tmp_path / "ran").exists()
    if "plain" in said:
        torch.load(path, weights_only=False)
        assert (tmp_path / "ran").exists()  # it would have been


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "file.pth"
    for content in (b"", b"weights", b"PK\x03\x04" + b"0" * 100):
        path.write_bytes(content)
        assert "plain tensors" in refusal(path=path, sha256=None, content=sha256(path))


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_refused_before_anything_is_fetched(channels, offline):
    part = Images(pictures(2, channels, 8, 8), None)
    with pytest.raises(ConfigError, match=f"inception reads pictures of 1 or 3 channels, this data has {channels}"):
        option("features", "inception").prepare(part, part, None, "", Path("nowhere"))
    assert not offline.exists()


def test_a_hash_is_8_to_64_hexadecimal_digits():
    for value in ("6726825", "6726825g", "6726825D", "0" * 65):
        assert list(out_of_range({"features.sha256": value})) != []
    for value in ("6726825d", "0" * 64, None):
        assert list(out_of_range({"features.sha256": value})) == []
