import math
from importlib import import_module

import pytest
import torch

from difflab.data import largest_distance

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

module = import_module("difflab.data.largest_distance")  # as an attribute of difflab.data it is the function


def brute(x):
    x = x.double().flatten(1)
    return float(torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").max())


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clustered():
    """Far from the mean lie few rows, in opposite clusters."""
    x = 0.1 * normal(600, 5)
    x[:20, 0] += 9
    x[300:320, 0] -= 9
    return x


CASES = {
    "normal": normal(300, 7),
    "float32": normal(300, 7).float(),
    "images": normal(130, 3, 4, 4),
    "levels": torch.randint(256, (300, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    "clusters": clustered(),
    "twice": normal(80, 4).repeat(2, 1),
    "two places": torch.tensor([[0.0, 1.0], [3.0, 5.0]]).repeat(70, 1),
    "on a sphere": torch.nn.functional.normalize(normal(300, 12)),
    "on a circle": torch.tensor([[math.cos(i), math.sin(i)] for i in range(300)], dtype=torch.float64),
    "far from 0": 1e6 + normal(200, 6),
    "numbers": normal(100, 1)[:, 0],
    "one outlier": torch.cat([normal(200, 3), torch.tensor([[1e4, 0.0, 0.0]])]),
}


@pytest.mark.parametrize("block", [16, 1024])
@pytest.mark.parametrize("x", CASES.values(), ids=CASES)
def test_it_is_the_largest_of_all_distances(x, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    assert largest_distance(x) == pytest.approx(brute(x[:, None]), rel=1e-12)


def test_a_distance_that_float32_cannot_tell_from_others_is_found(monkeypatch):
    """Pairs of opposite points on a circle, one of them farther apart by less than a rounding of float32."""
    monkeypatch.setattr(module, "BLOCK", 16)
    angle = torch.arange(64, dtype=torch.float64) * math.pi / 64
    points = torch.stack([angle.cos(), angle.sin()], 1)
    for i in (3, 30, 61):
        x = torch.cat([points, -points])
        x[[i, i + 64]] *= 1 + 1e-9
        assert largest_distance(x) == pytest.approx(2 * (1 + 1e-9), rel=1e-13, abs=0)


def test_most_pairs_of_clustered_rows_are_never_looked_at(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    looked, squared = [], module.Block.squared
    monkeypatch.setattr(module.Block, "squared", lambda *args: looked.append(args) or squared(*args))
    largest_distance(clustered())
    assert 0 < len(looked) < 20  # of 741 pairs of blocks


def test_a_first_guess_that_is_too_small_is_improved(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "far_apart", lambda rows, start: 0.0)
    x = normal(200, 9)
    assert largest_distance(x) == pytest.approx(brute(x), rel=1e-12)


def test_one_row_or_equal_rows_have_no_distance():
    assert largest_distance(torch.ones(1, 3)) == 0
    assert largest_distance(torch.full((40, 3), 7, dtype=torch.uint8)) == 0


def test_the_order_of_the_rows_does_not_matter():
    x = normal(500, 8).float()
    shuffled = x[torch.randperm(500, generator=torch.Generator().manual_seed(1))]
    assert largest_distance(shuffled) == pytest.approx(largest_distance(x), rel=1e-14)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_no_rows_and_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="no rows"):
        largest_distance(torch.zeros(0, 3))
    x = torch.zeros(9, 2)
    x[4, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        largest_distance(x)
