import pytest
import torch

from difflab.data import Digits, Images
from difflab.errors import ConfigError
from difflab.features import Classifier, Extractor
from tests.conftest import option


def named(files):
    return [f for f in files.iterdir() if f.suffix == ".safetensors"]


@pytest.fixture(scope="module")
def digits():
    data = Digits("nowhere", batch_size=128, val_size=128, workers=0, flip=False, seed=0)
    data.setup()
    parts = (Images(data.scaling.picture(part.pixels), part.labels) for part in (data.reference, data.test))
    return *parts, data.classes, data.fingerprint()


@pytest.fixture(scope="module")
def cached(digits, tmp_path_factory):
    """The folder of a classifier of few steps, trained once."""
    cache = tmp_path_factory.mktemp("cache")
    small().prepare(*digits, cache)
    return cache


def small(**change):
    return Classifier(**{"width": 4, "dimension": 8, "steps": 5, "lr": 2e-3} | change)


def weights(classifier):
    return torch.cat([w.flatten() for w in classifier.network.state_dict().values()])


@pytest.mark.slow
def test_the_default_one_knows_the_digits(digits, tmp_path):
    classifier = option("features", "classifier")
    classifier.prepare(*digits, tmp_path)
    assert classifier.figures()["accuracy"] >= 0.97
    test = digits[1]
    extracted = classifier.extract(test.pixels)
    assert extracted.features.shape == (360, classifier.dimension)
    assert torch.equal(extracted.logits, classifier.network.logits(extracted.features.clone()))
    right = extracted.logits.argmax(1) == test.labels
    assert float(right.float().mean()) == pytest.approx(classifier.figures()["accuracy"])
    described = classifier.describe(extracted)
    assert described["confident_share"] == float((extracted.logits.softmax(1).amax(1) > 0.9).float().mean())
    assert 0.7 < described["confident_share"] <= 1
    assert 0.05 < described["class_share_min"] <= 0.1 <= described["class_share_max"] < 0.2
    assert not classifier.network.training
    assert isinstance(classifier, Extractor)
    assert not classifier.published and not classifier.cmmd


def test_two_fits_are_bit_equal_whatever_was_drawn_before(digits, tmp_path):
    torch.manual_seed(1)
    first = small()
    first.prepare(*digits, tmp_path / "a")
    torch.manual_seed(2)
    torch.rand(5)
    second = small()
    second.prepare(*digits, tmp_path / "b")
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("fresh", [True, False], ids=["trained", "cached"])
def test_the_random_state_of_the_caller_stays(digits, cached, tmp_path, fresh):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    small().prepare(*digits, tmp_path if fresh else cached)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_second_one_reads_what_the_first_one_trained(digits, cached, monkeypatch):
    first = small()
    first.prepare(*digits, cached)
    monkeypatch.setattr(Classifier, "fit", lambda *_: pytest.fail("trained again"))
    second = small()
    second.prepare(*digits, cached)
    assert torch.equal(weights(first), weights(second))
    assert first.figures() == second.figures()
    assert first.identity() == second.identity()


def cut(content):
    return content[: len(content) // 2]


DAMAGE = {"empty": lambda c: b"", "cut": cut, "no header": lambda c: b"\xff" * len(c), "text": lambda c: b"weights"}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_made_again(digits, cached, tmp_path, damage):
    (whole,) = named(cached)
    broken = tmp_path / whole.name
    broken.write_bytes(damage(whole.read_bytes()))
    small().prepare(*digits, tmp_path)
    assert named(tmp_path) == [broken]
    assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    "change", [{"width": 5}, {"dimension": 9}, {"steps": 6}, {"lr": 1e-3}], ids=lambda change: next(iter(change))
)
def test_every_setting_has_a_file_of_its_own(digits, cached, change):
    before = named(cached)
    small(**change).prepare(*digits, cached)
    assert len(named(cached)) == len(before) + 1
    for path in set(named(cached)) - set(before):
        path.unlink()


def test_other_weights_have_another_identity(digits, cached, tmp_path):
    first, second = small(), small(lr=1e-3)
    first.prepare(*digits, cached)
    second.prepare(*digits, tmp_path)
    assert first.identity() != second.identity()


def test_none_give_none_and_many_are_split(digits, cached):
    classifier = small()
    classifier.prepare(*digits, cached)
    pixels = digits[0].pixels
    assert [x.shape for x in classifier.extract(pixels[:0])] == [(0, 8), (0, 10)]
    one, other = classifier.extract(pixels[:700]), classifier.extract(pixels[:512])
    assert torch.equal(one.features[:512], other.features)
    torch.testing.assert_close(one.logits[512:], classifier.extract(pixels[512:700]).logits)


def test_other_data_has_a_file_of_its_own(digits, cached):
    train, test, classes, content = digits
    before = named(cached)
    small().prepare(train, test, classes, content + "0", cached)
    assert len(named(cached)) == len(before) + 1


def test_the_name_of_the_data_is_its_content():
    """One pixel or one label more, and the fingerprint is another."""

    def fingerprint(change):
        data = Digits("nowhere", batch_size=8, val_size=8, workers=0, flip=False, seed=0)
        data.setup()
        change(data.reference)
        return data.fingerprint()

    def pixel(part):
        part.pixels[700, 0, 3, 3] += 1

    def label(part):
        part.labels[700] = (part.labels[700] + 1) % 10

    prints = [fingerprint(change) for change in (lambda part: None, lambda part: None, pixel, label)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("without", ["labels", "classes"])
def test_data_without_classes_is_refused_with_the_alternatives(digits, tmp_path, without):
    train, test, classes, content = digits
    if without == "labels":
        train = Images(train.pixels, None)
    else:
        classes = None
    with pytest.raises(ConfigError, match=r"features: classifier .*metrics=none.*metrics\.distances=null") as refusal:
        small().prepare(train, test, classes, content, tmp_path)
    assert "\n" not in str(refusal.value)
    assert named(tmp_path) == []


@pytest.mark.parametrize("dimension", [0, 65])
def test_too_many_features_are_refused(dimension):
    with pytest.raises(ConfigError, match=rf"features\.dimension: {dimension}; allowed are 1 to 64"):
        small(dimension=dimension)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 7, 5), (1, 4, 40)])
def test_images_of_any_size(shape, tmp_path):
    pixels = torch.randint(256, (40, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = Images(pixels, torch.arange(40) % 4)
    classifier = small(steps=1)
    classifier.prepare(part, part, 4, "content", tmp_path)
    assert classifier.extract(pixels).features.shape == (40, 8)
