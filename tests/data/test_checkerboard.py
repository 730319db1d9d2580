import pytest
import torch
from scipy.stats import chisquare, kstest

from tests.data.point_sets import point_set

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def draw(n=40000):
    return point_set("checkerboard").exact(n, torch.Generator().manual_seed(0)).double()


def test_points_lie_on_every_other_square_in_equal_shares():
    corner = draw().floor()
    counts = {}
    for place in map(tuple, corner.long().tolist()):
        counts[place] = counts.get(place, 0) + 1
    assert set(counts) == {(i, j) for i in range(-2, 2) for j in range(-2, 2) if (i + j) % 2 == 0}
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_points_are_uniform_within_a_square():
    x, y = (draw() % 1).T.numpy()
    for numbers in (x, y, (x + y) % 1, (x - y) % 1):
        assert kstest(numbers, "uniform").pvalue > 1e-3
