"""What networks are told of images: masks of every kind, coarse versions, and nothing of a share of them."""

import pytest
import torch

from difflab.condition import NUMBERS, Classes, Inpainting, SuperResolution
from tests.conftest import option

N = 400
UNIFORM = torch.rand(N, NUMBERS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X0 = torch.rand(N, 3, 12, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
KINDS = {"rectangles": (1.0, 0.0, 0.0), "halves": (0.0, 1.0, 0.0), "pixels": (0.0, 0.0, 1.0)}


def holes(kind, least=0.25, most=0.75):
    """Where pixels are unknown, [N, H, W]."""
    known = Inpainting(0.1, *KINDS[kind], least, most).known(UNIFORM, 12, 8)
    assert ((known == 0) | (known == 1)).all() and known.shape == (N, 1, 12, 8)
    return known[:, 0] == 0


def test_rectangles_are_filled_have_sides_in_range_and_lie_anywhere():
    found = holes("rectangles")
    rows, columns = found.any(2), found.any(1)
    assert torch.equal(found, rows[:, :, None] & columns[:, None, :])
    for sides, length in ((rows, 12), (columns, 8)):
        for row in sides.int():
            assert (row.diff() == 1).sum() + row[0] == 1  # in one piece
        lengths = sides.sum(1)
        assert lengths.min() == length // 4 and lengths.max() == length * 3 // 4
        assert sides.any(0).all()
    assert rows[:, 0].any() and rows[:, -1].any()


def test_halves_are_the_four_in_equal_shares():
    found = holes("halves")
    kinds = {
        "left": found[:, :, :4].all((1, 2)),
        "right": found[:, :, 4:].all((1, 2)),
        "top": found[:, :6].all((1, 2)),
        "bottom": found[:, 6:].all((1, 2)),
    }
    assert (found.sum((1, 2)) == 48).all()
    for where in kinds.values():
        assert 0.16 < float(where.double().mean()) < 0.34  # a quarter of 400, four standard errors


def test_pixels_are_a_share_between_the_limits_chosen_anew_for_each_image():
    share = holes("pixels", 0.4, 0.6).double().mean((1, 2))
    expected = 0.4 + 0.2 * UNIFORM[:, 1]
    assert ((share - expected) / (expected * (1 - expected) / 96).sqrt()).std() == pytest.approx(1, abs=0.15)
    same = UNIFORM.clone()
    same[:, 6] = 0.5
    assert holes("pixels").any(0).all() and not torch.equal(holes("pixels")[0], holes("pixels")[1])
    again = Inpainting(0.1, *KINDS["pixels"], 1.0, 1.0).known(same, 12, 8)
    assert not again.any()


def test_kinds_come_as_often_as_asked():
    found = Inpainting(0.1, 2.0, 1.0, 1.0, 0.25, 0.75).known(UNIFORM, 12, 8)[:, 0] == 0
    filled = found == (found.any(2)[:, :, None] & found.any(1)[:, None, :])
    free = ~filled.all(2).all(1)
    assert 0.16 < float(free.double().mean()) < 0.34
    for kind, share in (("rectangles", 0.5), ("halves", 0.25), ("pixels", 0.25)):
        same = (found == holes(kind)).all(2).all(1)
        assert abs(float(same.double().mean()) - share) < 0.11


def test_the_network_is_told_known_pixels_and_the_mask_and_no_other():
    conditioning = option("condition", "inpainting")
    told = conditioning.of(X0, None, UNIFORM)
    image, known = told.image[:, :3], told.image[:, 3:]
    assert told.image.shape[1] == conditioning.channels((3, 12, 8)) == 4
    assert torch.equal(image, X0 * known) and 0 < known.mean() < 1
    other = X0.where(known > 0, 9.0)
    assert torch.equal(conditioning.of(other, None, UNIFORM).image, told.image)
    rows = conditioning.of(X0[5:9], None, UNIFORM[5:9])
    assert torch.equal(rows.image, told.image[5:9])


def test_nothing_is_told_of_a_share_of_training_images():
    for conditioning in (option("condition", "inpainting"), option("condition", "super_resolution")):
        dropped = UNIFORM[:, -1] < 0.1
        whole, trained = (tell(X0, None, UNIFORM).image for tell in (conditioning.of, conditioning.trained))
        assert 0 < dropped.sum() < 80
        assert not trained[dropped].any() and torch.equal(trained[~dropped], whole[~dropped])


def test_a_coarse_image_has_the_mean_of_each_square():
    conditioning = SuperResolution(0.0, 4, smooth=False)
    image = conditioning.of(X0, None, UNIFORM).image
    assert image.shape == X0.shape and conditioning.channels((3, 12, 8)) == 3
    for i, j in ((0, 0), (1, 1), (2, 0)):
        square = X0[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
        told = image[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
        torch.testing.assert_close(told, square.mean((2, 3), keepdim=True).expand_as(told))


def test_a_smooth_coarse_image_is_linear_between_the_middles_of_squares():
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    image = SuperResolution(0.0, 4, smooth=True).of(ramp, None, UNIFORM[:1]).image
    torch.testing.assert_close(image[..., 2:14], ramp[..., 2:14])
    assert torch.equal(image[..., :2], image[..., :1].expand(-1, -1, -1, 2))  # flat outside of the middles


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Classes(1.0), r"condition\.drop: 1\.0"),
        (lambda: Inpainting(0.1, -1.0, 1.0, 1.0, 0.2, 0.5), r"condition\.rectangles: -1\.0"),
        (lambda: Inpainting(0.1, 0.0, 0.0, 0.0, 0.2, 0.5), r"condition\.rectangles: 0, as halves and pixels"),
        (lambda: Inpainting(0.1, 1.0, 1.0, 1.0, 0.6, 0.5), r"condition\.least: 0\.6; allowed .* at most 0\.5"),
        (lambda: SuperResolution(0.1, 1, True), r"condition\.factor: 1; allowed are whole numbers from 2"),
        (lambda: SuperResolution(0.1, 5, True).channels((3, 12, 8)), r"condition\.factor: 5; .* both sides of 12x8"),
    ],
)
def test_values_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
