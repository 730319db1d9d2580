"""Features of one's own: from the command line's words to [n, d]."""

from functools import partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict
from torch import nn

from difflab.data import Images
from difflab.errors import ConfigError
from difflab.features import Custom, Extractor
from difflab.runs.build import build
from difflab.runs.paths import CONFIGS
from difflab.runs.validate import validate
from tests.conftest import composed

OWN = """
import torch


class Embedder(torch.nn.Module):
    def __init__(self, d=3):
        super().__init__()
        self.linear = torch.nn.Linear(2, d)

    def forward(self, pictures):
        x = pictures.float() / 255
        return self.linear(torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1))


def brightness(pictures):
    return pictures.double().mean((2, 3))
"""


@pytest.fixture
def own(monkeypatch, tmp_path):
    """The name of a module of the user's."""
    (tmp_path / "difflab_own_features.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "difflab_own_features"


def pictures(n, channels=2):
    shape = (n, channels, 6, 5)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def checked(*overrides):
    """The first pass of `python train.py OVERRIDES`."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*overrides], return_hydra_config=True)
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config.hydra
    validate(config, "train", choices)


def prepared(extractor, channels=2):
    made = Custom(extractor, "mine", batch=2) if not isinstance(extractor, Custom) else extractor
    part = Images(pictures(1, channels), None)
    made.prepare(part, part, None, "", Path("nowhere"))
    return made


def brightness(x):
    return x.float().mean((2, 3))


def test_a_network_is_named_on_the_command_line(own):
    line = ["features=custom", f"features.extractor._target_={own}.Embedder", f"targets=[{own}]", "name=test"]
    checked(*line)
    config = composed(*line)
    extractor = build(config.features, "features", list(config.targets))
    assert isinstance(extractor, Extractor)
    prepared(extractor)
    assert extractor.dimension == 3
    features, logits = extractor.extract(pictures(5))
    assert features.shape == (5, 3)
    assert logits is None
    assert not features.requires_grad
    assert not extractor.published and not extractor.cmmd
    assert not extractor.extractor.training
    with pytest.raises(ConfigError, match=r"_target_: .*Embedder; allowed are .*targets=\[MODULE\]"):
        build(config.features, "features")


def test_so_is_a_function(own):
    line = ["features=custom", f"features.extractor._target_={own}.brightness", "features.extractor._partial_=true"]
    extractor = prepared(build(composed(*line).features, "features", [own]))
    features = extractor.extract(pictures(5)).features
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, brightness(pictures(5)))
    assert extractor.extract(pictures(0)).features.shape == (0, 2)


def test_without_an_extractor_it_says_how():
    checked("features=custom", "name=test")
    with pytest.raises(ConfigError, match=r"features\.extractor\._target_: .*targets=\[MODULE\]") as caught:
        build(composed("features=custom").features, "features")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"features\.extractor: 3; allowed are .*_partial_=true"):
        Custom(3, "mine", 2)


@pytest.mark.parametrize("name", ["inception", "clip", "", "a b", "FID", "é", "a/b"])
def test_a_name_is_new_and_can_be_part_of_a_figure(name):
    with pytest.raises(ConfigError, match=r"features\.name"):
        Custom(brightness, name, 2)


def test_the_batch_is_what_it_sees_at_once():
    seen = []

    def watching(x):
        seen.append(len(x))
        return brightness(x)

    extractor = prepared(watching)
    seen.clear()
    features = extractor.extract(pictures(5)).features
    assert seen == [2, 2, 1]
    assert torch.equal(features, brightness(pictures(5)))


@pytest.mark.parametrize(
    "wrong",
    [lambda x: x.float(), lambda x: x.float().mean(), lambda x: brightness(x)[:1], lambda x: [0.0], lambda x: None],
)
def test_what_gives_no_row_for_each_picture_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"features\.extractor: .* allowed is one row of features for each picture"):
        prepared(wrong)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ConfigError, match=r"features\.extractor: .* gives numbers that are not finite"):
        prepared(lambda x: brightness(x) / 0)


def linear(seed, scale=1.0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), Scaled(scale), nn.Linear(60, 2))


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x * self.scale


def power(x, p):
    return brightness(x) ** p


def test_the_identity_is_that_of_weights_code_and_settings():
    """The last ones differ in a number that is no weight, and in the body of a function of one name."""
    one, other = (lambda factor: lambda x: brightness(x) * factor)(1), (lambda factor: lambda x: brightness(x) * 2)(2)
    ways = [linear(0), linear(1), linear(0, 2.0), partial(power, p=1), partial(power, p=2), one, other]
    identities = [prepared(way).identity() for way in ways]
    assert len(set(identities)) == len(ways)
    assert identities == [prepared(way).identity() for way in (linear(0), *ways[1:])]
    assert prepared(linear(0)).identity() == identities[0]
