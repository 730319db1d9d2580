import pytest
import torch

from difflab.data import Digits
from difflab.errors import ConfigError
from difflab.evaluation.distances import figures
from difflab.metrics import frechet_distance


class Pixels:
    """Means of 2x2 pixels: features without training."""

    name, dimension = "pixels", 16

    def prepare(self, train, test, classes, content, cache):
        pass

    def features(self, pictures):
        return torch.nn.functional.avg_pool2d(pictures.float(), 2).flatten(1)

    def figures(self):
        return {"quality": 0.5}

    def describe(self, features):
        return {"brightness": float(features.mean())}


@pytest.fixture(scope="module")
def data():
    data = Digits("nowhere", batch_size=128, val_size=128, workers=0, flip=False, seed=0)
    data.setup()
    return data


def test_samples_that_are_the_test_part_lie_at_the_floor(data):
    samples = data.scaling.encode(data.test.pixels).repeat(3, 1, 1, 1)
    found = figures(data, Pixels(), samples, draws=3)
    assert found["fd_pixels"] == pytest.approx(found["fd_pixels_floor"], rel=1e-9)
    assert found["fd_pixels_stderr"] == pytest.approx(0, abs=1e-9)
    assert (found["fd_pixels_samples"], found["fd_pixels_draws"], found["fd_pixels_floor_samples"]) == (360, 3, 360)
    assert found["pixels_brightness"] == pytest.approx(found["pixels_brightness_real"])
    assert found["pixels_quality"] == 0.5


def test_it_is_the_mean_over_the_draws_of_the_distance_to_the_training_part(data):
    samples = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = figures(data, Pixels(), samples, draws=3)
    real = Pixels().features((data.reference.pixels.float() * 255 / 16).round().to(torch.uint8)).double()
    each = []
    for part in samples.chunk(3):
        levels = ((part + 1) * 8).round()
        drawn = Pixels().features((levels * 255 / 16).round().to(torch.uint8)).double()
        each.append(frechet_distance(drawn.mean(0), drawn.T.cov(), real.mean(0), real.T.cov()))
    assert found["fd_pixels"] == pytest.approx(sum(each) / 3, rel=1e-6)
    assert found["fd_pixels_stderr"] == pytest.approx(float(torch.tensor(each).std()) / 3**0.5, rel=1e-4)
    assert found["fd_pixels"] > 10 * found["fd_pixels_floor"]


def test_one_draw_knows_no_error(data):
    samples = data.scaling.encode(data.test.pixels)
    assert "fd_pixels_stderr" not in figures(data, Pixels(), samples, draws=1)


def test_as_few_samples_as_features_are_refused(data):
    with pytest.raises(ConfigError, match=r"metrics\.samples: 16 "):
        figures(data, Pixels(), data.scaling.encode(data.test.pixels[:32]), draws=2)
