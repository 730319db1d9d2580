import cmath
import math

import pytest
import torch
from torch.nn import functional

from difflab.data.affine_warp import SYM6, coarser, finer, warped
from difflab.errors import ConfigError
from tests.conftest import option

ALWAYS = ("augmentation.probability=1.0",)


def numbers(n, seed=0):
    return torch.rand(n, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pictures(n, *shape, seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_filter_is_orthonormal_with_six_vanishing_moments():
    h = torch.tensor(SYM6, dtype=torch.float64)
    assert h.sum().item() == pytest.approx(math.sqrt(2), abs=1e-12)
    overlaps = [h[: len(h) - 2 * m].dot(h[2 * m :]).item() for m in range(6)]
    assert overlaps == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-11)
    k = torch.arange(12, dtype=torch.float64)
    moments = [((-1) ** k * (k / 11) ** j).dot(h).item() for j in range(6)]
    assert moments == pytest.approx([0] * 6, abs=1e-8)


def test_the_way_to_the_fine_grid_and_back_is_nothing():
    row = torch.randn(9, dtype=torch.float64)
    fine = finer(9) @ row
    beyond = (len(fine) - coarser(9).shape[1]) // 2
    torch.testing.assert_close(coarser(9) @ fine[beyond : len(fine) - beyond], row)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 9, 14), (5, 14, 9)])
def test_moving_by_whole_pixels_is_exact_with_reflections_beyond_the_sides(shape):
    images = pictures(2, *shape)
    shift = torch.tensor([[3.0, -2.0], [0.0, 0.0]])
    found = warped(images, torch.eye(2).expand(2, 2, 2), shift)
    around = functional.pad(images, (3, 3, 2, 2), mode="reflect")
    torch.testing.assert_close(found[0], around[0, :, 4:, : shape[2]], atol=2e-5, rtol=0)
    torch.testing.assert_close(found[1], images[1], atol=2e-5, rtol=0)


def blob(at, width=3.5, centre=complex(2.0, -1.5)):
    """A round hill: its height at points of the plane, x to the right and y up."""
    return torch.exp(-((at - centre).abs() ** 2) / (2 * width**2))


def plane(height, width):
    """The points of the pixels."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.complex(x - (width - 1) / 2, (height - 1) / 2 - y)


def before(at, told, sign):
    """Where points of the changed image were, by what is told of the change, in complex numbers."""
    mirrored, overturned, zoom, cos_less, sin, stretch_cos, stretch_sin, right, down = told
    height, width = at.shape
    at = at - complex(right * width / 8, -down * height / 8)
    stretch = complex(stretch_cos, stretch_sin)
    axis, longer = cmath.exp(1j * cmath.phase(stretch)), 2 ** (0.2 * sign * abs(stretch))
    along = at / axis
    at = torch.complex(along.real / longer, along.imag * longer) * axis
    at = at / (complex(cos_less + 1, sin) * 2 ** (0.2 * zoom))
    return torch.complex(-at.real if mirrored else at.real, -at.imag if overturned else at.imag)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (40, 56)])
def test_what_is_told_says_where_every_point_was(height, width):
    """To a sixth of a pixel: the centre of the filter is off by a twentieth, up and down, along both sides.

    Of a stretch with a turned axis, as published, it is not told whether along it things get longer or shorter.
    """
    at = plane(height, width)
    images = blob(at).float().expand(24, 2, -1, -1)
    changed, told = option("augmentation", "edm", *ALWAYS)(images, numbers(24))
    for picture, row in zip(changed, told.double().tolist(), strict=True):
        assert torch.equal(picture[0], picture[1])
        errors = []
        for sign in (1, -1) if row[6] else (math.copysign(1, row[5]),):
            was = before(at, row, sign)
            inside = (was.real.abs() < width / 2 - 2) & (was.imag.abs() < height / 2 - 2)  # beyond are reflections
            assert blob(was)[inside].max() > 0.5
            errors.append((picture[0] - blob(was))[inside].abs().max().item())
        assert min(errors) < 0.035


def test_each_number_is_zero_as_often_as_stated():
    n = 20_000
    _, told = option("augmentation", "edm")(torch.zeros(n, 1, 2, 2), numbers(n))
    happen = (told != 0).double().mean(dim=0)
    rotated = torch.tensor([0.5, 0.06, 0.12, 0.12, 0.12, 0.12, 0.06, 0.12, 0.12], dtype=torch.float64)
    assert ((happen - rotated).abs() < 4 * (rotated * (1 - rotated) / n).sqrt()).all()
    zoom, shift = told[told[:, 2] != 0, 2], told[told[:, 7] != 0, 7:]
    for normal in (zoom, shift[:, 0], shift[:, 1]):
        assert normal.mean().item() == pytest.approx(0, abs=0.1)
        assert normal.std().item() == pytest.approx(1, abs=0.08)
    assert ((told[:, 7] != 0) == (told[:, 8] != 0)).all()
    torch.testing.assert_close((told[:, 3] + 1) ** 2 + told[:, 4] ** 2, torch.ones(n))


def test_at_probability_0_images_are_at_most_mirrored_and_told_so():
    images = pictures(64, 3, 5, 7)
    changed, told = option("augmentation", "edm", "augmentation.probability=0.0")(images, numbers(64))
    mirrored = told[:, 0].bool()
    assert 16 < mirrored.sum() < 48
    assert torch.equal(changed[mirrored], images[mirrored].flip(3))
    assert torch.equal(changed[~mirrored], images[~mirrored])
    assert not told[:, 1:].any()


def test_images_that_are_at_most_flipped_keep_their_bits():
    images = pictures(200, 1, 8, 8)
    changed, told = option("augmentation", "edm")(images, numbers(200))
    plain = ~told[:, 2:].any(1)
    assert 60 < plain.sum() < 180
    flipped = images.clone()
    for column, side in ((0, 3), (1, 2)):
        rows = told[:, column].bool()
        flipped[rows] = flipped[rows].flip(side)
    assert torch.equal(changed[plain], flipped[plain])
    assert all(not torch.equal(a, b) for a, b in zip(changed[~plain], flipped[~plain], strict=True))


def test_an_image_is_changed_alike_whatever_its_batch():
    augment, images, uniform = (
        option("augmentation", "edm", "augmentation.probability=0.5"),
        pictures(48, 3, 16, 12),
        None,
    )
    uniform = numbers(48)
    whole, told = augment(images, uniform)
    for size in (1, 7, 16):
        parts = [augment(images[i : i + size], uniform[i : i + size]) for i in range(0, 48, size)]
        assert torch.equal(torch.cat([part[0] for part in parts]), whole)
        assert torch.equal(torch.cat([part[1] for part in parts]), told)


def test_the_least_and_the_largest_uniform_numbers_are_fine():
    ends = torch.stack([torch.zeros(14), torch.full((14,), 1 - 2**-53, dtype=torch.float64)])
    changed, told = option("augmentation", "edm", *ALWAYS)(pictures(2, 3, 8, 8), ends)
    assert changed.isfinite().all()
    assert told.isfinite().all()


@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(
        ConfigError, match=rf"augmentation\.probability: {probability}; allowed are numbers from 0 to 1"
    ):
        option("augmentation", "edm", f"augmentation.probability={probability}")
