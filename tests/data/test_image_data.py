import pytest
import torch

from difflab.data import ImageData, Images, Scaling
from difflab.errors import ConfigError


class Numbered(ImageData):
    """40 images of 1x2x3 pixels; image i holds 6 numbers from 6 i on."""

    def read(self):
        pixels = torch.arange(240, dtype=torch.uint8).view(40, 1, 2, 3)
        return Images(pixels, None), Images(pixels[:4], None)


def numbered(**changes):
    data = Numbered(**{"root": "", "batch_size": 8, "val_size": 7, "workers": 0, "flip": False, "seed": 0} | changes)
    data.setup()
    return data


def test_the_last_training_images_are_held_out():
    data = numbered()
    assert torch.equal(torch.cat([data.train.pixels, data.val.pixels]), data.reference.pixels)
    assert (len(data.train), len(data.val), len(data.test), data.shape) == (33, 7, 4, (1, 2, 3))


def test_as_many_images_as_are_needed_suffice_and_one_fewer_does_not():
    numbered(batch_size=33, val_size=7)
    with pytest.raises(ConfigError, match=r"data.batch_size, data.val_size: 33 and 8; .* at most 40"):
        numbered(batch_size=33, val_size=8)


def test_sigma_data_is_the_spread_of_all_numbers_of_the_model():
    data = numbered()
    x = Scaling(256).encode(torch.arange(240, dtype=torch.uint8)).double()
    assert data.sigma_data == pytest.approx(float(x.std(correction=0)), rel=1e-6)
    assert data.bounded


class Repeated(Numbered):
    """The last image is there three times more, one of them held out as well."""

    def read(self):
        whole, test = super().read()
        pixels = whole.pixels.clone()
        for i in (0, 20, 36):
            pixels[i] = whole.pixels[39]
        return Images(pixels, torch.arange(40)), test


def test_what_equals_a_held_out_image_is_not_trained_on():
    data = Repeated("", 8, 7, 0, False, 0)
    data.setup()
    assert data.train.labels.tolist() == [i for i in range(33) if i not in (0, 20)]
    assert data.val.labels.tolist() == list(range(33, 40))
    assert torch.equal(data.train.pixels, data.reference.pixels[data.train.labels])
    assert len(data.reference) == 40
    with pytest.raises(ConfigError, match=r"data.batch_size, data.val_size: 33 and 7; .* at most 38"):
        Repeated("", 33, 7, 0, False, 0).setup()


class Official(Numbered):
    """The files name a validation part."""

    def read(self):
        whole, test = super().read()
        self.held_out = Images(whole.pixels[:9] + 1, None)
        return whole, test


def test_a_validation_part_of_the_files_is_used_as_it_is():
    data = Official("", 40, 7, 0, False, 0)
    data.setup()
    assert torch.equal(data.val.pixels, data.reference.pixels[:7] + 1)
    assert len(data.train) == len(data.reference) == 40
    with pytest.raises(ConfigError, match=r"data.batch_size: 41; .* at most 40"):
        Official("", 41, 7, 0, False, 0).setup()


def test_pictures_of_other_numbers_of_channels_are_shown_as_panels():
    data, pictures = numbered(), torch.arange(2 * 5 * 6, dtype=torch.uint8).view(2, 5, 2, 3)
    for channels in (1, 3):
        assert torch.equal(data.viewed(pictures[:, :channels]), pictures[:, :channels])
    shown = data.viewed(pictures)
    assert shown.shape == (2, 1, 5, 11)
    for i in range(5):
        top, left = divmod(i, 3)
        panel = shown[:, 0, 3 * top : 3 * top + 2, 4 * left : 4 * left + 3]
        assert torch.equal(panel, pictures[:, i])


def test_it_describes_itself():
    data = numbered()
    said = dict(line.split(": ", 1) for line in data.describe().splitlines())
    assert said["shape"] == "1 x 2 x 3"
    assert said["split"].startswith("33 training, 7 validation, 4 test")
    assert (said["levels"], said["classes"], said["range"]) == ("256", "none", "-1 to 1")
    assert float(said["std"]) == pytest.approx(data.sigma_data, rel=1e-3)
