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
