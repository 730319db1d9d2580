import pytest
import torch

from difflab.data import Plain, Scaling


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_decode_inverts_encode(levels):
    scaling, k = Scaling(levels), torch.arange(levels, dtype=torch.uint8)[:, None]
    x = scaling.encode(k)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(scaling.decode(x), k)


@pytest.mark.parametrize("levels", [17, 256])
def test_decode_finds_the_nearest_level(levels):
    k = torch.arange(levels, dtype=torch.uint8)[:, None]
    half_a_level = 1 / (levels - 1)
    for shift in (-0.98, 0.98):
        assert torch.equal(Scaling(levels).decode(Scaling(levels).encode(k) + shift * half_a_level), k)


def test_decode_clamps():
    x = torch.tensor([[-7.0, -1.01, 1.01, 1e30]])
    assert Scaling(17).decode(x).tolist() == [[0, 0, 16, 16]]
    assert Scaling(256).decode(x).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_decode_rounds_once(dtype):
    x = torch.linspace(-1, 1, 1001).to(dtype)[:, None]
    assert torch.equal(Scaling(256).decode(x), Scaling(256).decode(x.double()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_decode_refuses_what_is_not_finite(bad):
    x = torch.zeros(4, 1, 2, 2)
    x[2, 0, 1, 1] = bad
    with pytest.raises(ValueError, match="image 2 "):
        Scaling(17).decode(x)


def test_pictures_use_all_of_8_bits():
    assert Scaling(17).picture(torch.tensor([0, 8, 16], dtype=torch.uint8)).tolist() == [0, 128, 255]
    k = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(Scaling(256).picture(k), k)


def test_plain_numbers_stay_as_they_are():
    x = torch.tensor([[-7.0, 0.1], [3.0, 1e30]])
    assert torch.equal(Plain().encode(x), x)
    assert torch.equal(Plain().decode(x), x)
    assert Plain().encode(x.double()).dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_plain_refuses_what_is_not_finite(bad):
    x = torch.zeros(4, 2)
    x[3, 1] = bad
    with pytest.raises(ValueError, match="point 3 "):
        Plain().decode(x)
