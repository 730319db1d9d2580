"""Features of the data are computed once, by whoever comes first, and never taken for those of other data."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from difflab.data import Digits, Images
from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace
from difflab.features import Extracted


class Pixels:
    """Means of 2x2 pixels: features without training, which count the pictures that were asked for."""

    name, dimension, published, cmmd = "pixels", 16, False, False

    def __init__(self, version="1"):
        self.version, self.asked = version, []

    def prepare(self, train, test, classes, content, cache):
        self.prepared = content

    def to(self, device):
        self.device = device

    def identity(self):
        return self.version

    def extract(self, pictures):
        self.asked.append(len(pictures))
        means = torch.nn.functional.avg_pool2d(pictures.float(), 2).flatten(1)
        return Extracted(means, means[:, :3])


@pytest.fixture
def data():
    data = Digits("nowhere", batch_size=128, val_size=128, workers=0, flip=False, seed=0)
    data.setup()
    return data


def test_parts_are_computed_once_and_then_read(data, tmp_path):
    first = FeatureSpace(Pixels(), data, tmp_path)
    assert sum(first.extractor.asked) == 0
    assert len(first.train.features) == len(first.train.logits) == len(data.reference)
    assert len(first.test.features) == len(data.test)
    assert sum(first.extractor.asked) == len(data.reference) + len(data.test)
    second = FeatureSpace(Pixels(), data, tmp_path)
    for part in ("train", "test"):
        for mine, theirs in zip(getattr(second, part), getattr(first, part), strict=True):
            assert torch.equal(mine, theirs)
    assert second.extractor.asked == []


def changed_image(data):
    pixels = data.reference.pixels.clone()
    pixels[700, 0, 3, 3] = (pixels[700, 0, 3, 3] + 1) % 17
    data.reference = Images(pixels, data.reference.labels)
    return Pixels()


@pytest.mark.parametrize("change", [changed_image, lambda data: Pixels(version="2")], ids=["an image", "the weights"])
def test_a_change_is_another_key(data, tmp_path, change):
    assert len(FeatureSpace(Pixels(), data, tmp_path).train.features) == 1437
    other = FeatureSpace(change(data), data, tmp_path)
    assert len(other.train.features) == sum(other.extractor.asked) == 1437


def test_the_test_part_alone_is_kept_when_the_training_part_changes(data, tmp_path):
    assert len(FeatureSpace(Pixels(), data, tmp_path).test.features) == 360
    other = FeatureSpace(changed_image(data), data, tmp_path)
    assert len(other.test.features) == 360
    assert other.extractor.asked == []


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"{}" + b])
def test_a_damaged_file_is_made_again(data, tmp_path, damage):
    whole = FeatureSpace(Pixels(), data, tmp_path).test
    (path,) = tmp_path.glob("features-*.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    again = FeatureSpace(Pixels(), data, tmp_path)
    assert torch.equal(again.test.features, whole.features)
    assert sum(again.extractor.asked) == 360


def test_jobs_at_the_same_time_agree_and_compute_once(data, tmp_path):
    spaces = [FeatureSpace(Pixels(), data, tmp_path) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda space: space.train.features, spaces))
    assert all(torch.equal(features, found[0]) for features in found)
    assert sum(sum(space.extractor.asked) for space in spaces) == 1437
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix not in (".lock", ".safetensors")] == []


def test_features_are_in_the_order_of_the_pictures(data, tmp_path):
    space = FeatureSpace(Pixels(), data, tmp_path)
    pictures = data.scaling.picture(data.reference.pixels[:600])
    assert torch.equal(space.of(lambda where: pictures[where], 600, "these").features, Pixels().extract(pictures)[0])


def test_both_parts_are_there_when_it_is_ready_on_its_device(data, tmp_path):
    space = FeatureSpace(Pixels(), data, tmp_path)
    space.prepare(torch.device("cpu"))
    assert sum(space.extractor.asked) == 1437 + 360
    assert space.extractor.device == torch.device("cpu")
    assert space.extractor.prepared == data.fingerprint()


def test_a_cache_that_cannot_be_written_is_refused_before_training(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^cache: .*file/cache: .*allowed are folders that can be written to"):
        FeatureSpace(Pixels(), data, tmp_path / "file" / "cache").prepare(torch.device("cpu"))
