import pytest
import torch
from sklearn.datasets import load_digits

from difflab.data import Digits


@pytest.fixture(scope="module")
def digits():
    data = Digits("nowhere", batch_size=128, val_size=128, workers=0, flip=False, seed=0)
    data.setup()
    return data


def test_the_split_is_the_stated_one(digits):
    assert (len(digits.reference), len(digits.train), len(digits.val), len(digits.test)) == (1437, 1309, 128, 360)
    assert digits.shape == (1, 8, 8)


def test_every_image_of_scikit_learn_is_in_one_part(digits):
    parts = [digits.train, digits.val, digits.test]
    images = torch.cat([part.pixels for part in parts]).flatten(1)
    whole = torch.from_numpy(load_digits().data).to(torch.uint8)
    assert sorted(map(bytes, images.numpy())) == sorted(map(bytes, whole.numpy()))
    assert len(images.unique(dim=0)) == len(images)  # so that the parts share no image


def test_labels_follow_their_images(digits):
    whole = load_digits()
    label = {bytes(image.astype("uint8")): target for image, target in zip(whole.data, whole.target, strict=True)}
    for part in (digits.reference, digits.test):
        assert [label[bytes(image.flatten().numpy())] for image in part.pixels] == part.labels.tolist()


def test_levels_and_classes(digits):
    for part in (digits.reference, digits.test):
        assert part.pixels.unique().tolist() == list(range(17)) == list(range(digits.levels))
        assert part.labels.unique().tolist() == list(range(digits.classes))
    assert len(digits.class_names) == digits.classes
