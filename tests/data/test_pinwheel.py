import math

import pytest
import torch
from scipy.stats import chisquare, ks_2samp

from tests.data.point_sets import point_set

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def polar():
    """Polar coordinates of the points, without their scale."""
    x = point_set("pinwheel").exact(40000, torch.Generator().manual_seed(0)).double() / math.sqrt(2)
    return x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])


def test_a_fifth_of_a_turn_changes_nothing():
    """The shares of 5 sectors are equal, and the points of each, turned back, are of one law."""
    radius, angle = polar()
    sector = (angle / (2 * math.pi / 5)).floor().long() % 5
    assert chisquare(torch.bincount(sector).numpy()).pvalue > 1e-3
    within = angle % (2 * math.pi / 5)
    for k in range(1, 5):
        assert ks_2samp(radius[sector == 0].numpy(), radius[sector == k].numpy()).pvalue > 1e-3
        assert ks_2samp(within[sector == 0].numpy(), within[sector == k].numpy()).pvalue > 1e-3


def test_arms_bend_with_the_radius():
    """Turned back by exp(r) / 4 the arms lie along the multiples of a fifth, as wide as 0.1 / r."""
    radius, angle = polar()
    far = radius > 0.7  # where a point's own width hardly changes its radius
    off = (angle - 0.25 * radius.exp() + math.pi / 5) % (2 * math.pi / 5) - math.pi / 5
    width = (off * radius)[far]
    assert float(width.mean()) == pytest.approx(0, abs=0.005)
    assert float(width.std()) == pytest.approx(0.1, abs=0.01)


def test_second_moment_is_that_of_the_normal_law():
    """Turning keeps the norm: E |x|^2 = 1 + 0.3^2 + 0.1^2."""
    radius, _ = polar()
    assert float(radius.square().mean()) == pytest.approx(1.1, abs=0.02)
