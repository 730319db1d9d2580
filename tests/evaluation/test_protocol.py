"""What is computed when: nothing for metrics=none, everything from one pass, and refusals before any work."""

import pickle

import pytest
import torch
from PIL import Image

from difflab.errors import ConfigError
from difflab.evaluation import Drawing, Scores, as_pictures
from difflab.prediction import X0, Denoiser
from tests.conftest import Formula, composed, option
from tests.evaluation.test_space import Pixels


@pytest.fixture(scope="module")
def data():
    data = option("data", "digits")
    data.setup()
    return data


@pytest.fixture(scope="module")
def denoise():
    """A denoiser that always says the same grey image."""
    network = Formula(lambda x, t: torch.full_like(x, -0.25))
    return Denoiser(network, option("schedule", "cosine", "schedule.T=40"), X0()).eval()


@pytest.fixture
def drawing():
    return Drawing(option("sampler", "ddim", "sampler.steps=4"), 0, 64)


def protocol(name, *overrides):
    return option("metrics", name, *overrides)


class Never:
    """A likelihood that is not to be asked."""


def test_none_computes_nothing(data, denoise, drawing, tmp_path):
    chosen = protocol("none")
    assert chosen.prepare(Pixels(), data, tmp_path, CPU) is None
    found = chosen.evaluate(denoise, data, Never(), drawing, None)
    assert set(found.figures) == {"seconds/evaluate"}
    assert (found.terms, found.pictures) == ({}, {})
    assert chosen.calls_on_the_way(128) == 0
    assert list(tmp_path.iterdir()) == []


CPU = torch.device("cpu")
SMALL = ("metrics.samples=60", "metrics.draws=2", "metrics.likelihood=false")


def test_one_pass_over_the_samples_feeds_every_distance(data, denoise, drawing, tmp_path):
    chosen = protocol("full", *SMALL, "metrics.distances.kernel.size=50")
    extractor = Pixels()
    space = chosen.prepare(extractor, data, tmp_path, CPU)
    assert len(space.train.features) + len(space.test.features) == sum(extractor.asked)
    extractor.asked.clear()
    extractor.figures, extractor.describe = dict, lambda extracted: {}
    evaluation = chosen.evaluate(denoise, data, Never(), drawing, space)
    found = evaluation.figures
    assert sum(extractor.asked) == 120
    for name in ("fd_pixels", "fd_pixels_infinity", "kd_pixels", "is_pixels", "precision_pixels", "mmd_pixels"):
        assert found[f"test/{name}"] == found[f"test/{name}"], name  # there, and a number
        assert found[f"test/{name}_samples"] in (60, 120)
    assert found["test/nearest_pixels_samples"] == 120
    assert found["test/network_calls"] == 4
    for stem, draw in pickle.loads(pickle.dumps(evaluation.pictures)).items():
        draw(tmp_path / f"{stem}.png")
    side = (8 * 9 + 1) * (512 // 73)  # 8 columns of 8 pixels and one between, enlarged to 512 at most
    sizes = {path.stem: Image.open(path).size for path in tmp_path.glob("*.png") if path.stem != "denoising"}
    assert sizes == {"samples": (side, side), "nearest_training_images": (side, side)}


def test_scores_that_are_known_are_not_computed_again(data, denoise, drawing):
    chosen = protocol("default", "metrics.distances=null", "metrics.pictures=0")
    known = Scores({"bits_per_dim": 1.5}, {"posterior_clipped": [(1, 2, 1.5)]})
    found = chosen.evaluate(denoise, data, Never(), drawing, None, known)
    assert (found.figures["test/bits_per_dim"], found.terms) == (1.5, known.terms)


def test_what_cannot_be_computed_after_training_is_refused_before_it(data, tmp_path):
    extractor = Pixels()
    with pytest.raises(ConfigError, match=r"metrics\.samples: 16 images"):
        protocol("default", "metrics.samples=16").prepare(extractor, data, tmp_path, CPU)
    assert not hasattr(extractor, "prepared")
    forced = protocol("default", "metrics.samples=16", "metrics.force=true", "metrics.distances.memorisation=null")
    assert forced.prepare(extractor, data, tmp_path, CPU) is not None


def test_a_dimension_that_is_known_late_is_checked_late(data, tmp_path):
    class Late(Pixels):
        dimension = 0

        def prepare(self, *arguments):
            self.dimension = 500

    with pytest.raises(ConfigError, match="500 features"):
        protocol("default").prepare(Late(), data, tmp_path, CPU)


def test_samples_that_are_no_numbers_are_named(data):
    samples = torch.zeros(20, *data.shape)
    samples[17, 0, 2, 2] = torch.nan
    with pytest.raises(ConfigError, match=r"^samples: image 17 is not finite"):
        as_pictures(samples, data)
    assert torch.equal(as_pictures(samples[:17], data), torch.full((17, *data.shape), 128, dtype=torch.uint8))


def test_a_look_on_the_way_has_a_share_of_the_calls_of_training():
    """A step counts three network calls an image: 500 steps of 128 images are 192,000."""
    assert protocol("default").calls_on_the_way(128) == 9600
    assert protocol("default", "metrics.budget=0.1", "metrics.every=10").calls_on_the_way(32) == 96
    assert composed().metrics.budget < 0.1
