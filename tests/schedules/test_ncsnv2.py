import math

import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from difflab.schedules import ncsnv2
from tests.conftest import printed


def overlap(g, dimensions):
    """Technique 2's left side, as the paper writes it."""
    root = math.sqrt(2 * dimensions)
    return norm.cdf(root * (g - 1) + 3 * g) - norm.cdf(root * (g - 1) - 3 * g)


@pytest.mark.parametrize("dimensions", [5, 6, 10, 64, 784, 3072, 12288, 200_000])
def test_the_ratio_of_technique_2(dimensions):
    wanted = brentq(lambda g: overlap(g, dimensions) - 0.5, 1, 50, xtol=1e-12)
    assert ncsnv2.ratio(dimensions) == pytest.approx(wanted, abs=1e-6)
    assert ncsnv2.overlap(1.3, dimensions) == pytest.approx(overlap(1.3, dimensions), abs=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_below_5_dimensions_there_is_no_such_ratio(dimensions):
    assert min(overlap(1 + 1.1**k, dimensions) for k in range(-100, 100)) > 0.9
    with pytest.raises(ValueError, match=rf"schedule\.L: .* {dimensions} dimensions"):
        ncsnv2.ratio(dimensions)


def test_the_levels_of_the_paper():
    """A published choice of 232 is denser than asked."""
    assert ncsnv2.ratio(3072) == printed("1.039796")
    assert ncsnv2.levels(0.01, 50.0, 3072) == 220
    assert printed("1.037559") == 5000 ** (1 / 231)


@pytest.mark.parametrize("sigma_max", [0.1, 1.0, 7.3, 50.0])
@pytest.mark.parametrize("dimensions", [5, 64, 3072])
def test_levels_are_the_fewest_of_that_ratio(dimensions, sigma_max):
    count, most = ncsnv2.levels(0.01, sigma_max, dimensions), ncsnv2.ratio(dimensions)
    assert (sigma_max / 0.01) ** (1 / (count - 1)) <= most * (1 + 1e-9)
    assert count == 2 or (sigma_max / 0.01) ** (1 / (count - 2)) > most


def test_levels_that_fit_exactly_are_not_one_too_many():
    assert ncsnv2.levels(1.0, ncsnv2.ratio(64) ** 7, 64) == 8


def test_levels_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match=r"schedule\.sigma_min: 2\.0; "):
        ncsnv2.levels(2.0, 1.0, 64)


def recursion(ratio, inner, a):
    """The variance in units of sigma_i^2, step by step: x <- (1 - a) x + sqrt(2a) sigma_i z from the level before."""
    variance = ratio**2
    for _ in range(inner):
        variance = (1 - a) ** 2 * variance + 2 * a
    return variance


@pytest.mark.parametrize("inner", [1, 2, 5, 100])
@pytest.mark.parametrize("ratio", [1.0001, 1.0376, 1.356, 1.668, 30.0])
def test_technique_4_is_the_minimum_of_the_recursion(ratio, inner):
    a = ncsnv2.step_size(ratio, inner)
    found = minimize_scalar(
        lambda x: abs(recursion(ratio, inner, x) - 1), bounds=(0, 1), method="bounded", options={"xatol": 1e-12}
    )
    least = ncsnv2.variance_ratio(ratio, inner, a)
    assert least == pytest.approx(recursion(ratio, inner, a), rel=1e-12)
    assert 1 <= least <= found.fun + 1 + 1e-13
    assert a == pytest.approx(found.x, abs=1e-6)  # no closer: the minimum is flat

    def slope(x):
        """Of the variance, differentiated in x along the steps."""
        variance, change = ratio**2, 0.0
        for _ in range(inner):
            change = (1 - x) ** 2 * change - 2 * (1 - x) * variance + 2
            variance = (1 - x) ** 2 * variance + 2 * x
        return change

    assert a == pytest.approx(brentq(slope, 1e-12, 1, xtol=1e-14), abs=1e-9)


def test_the_step_size_of_the_paper():
    """eps = 6.2e-6 at sigma_L = 0.01, 232 levels from 50 down and 5 steps at each."""
    ratio = 5000 ** (1 / 231)
    a = ncsnv2.step_size(ratio, 5)
    assert a * 0.01**2 == printed("6.184e-6")
    assert ncsnv2.variance_ratio(ratio, 5, a) == printed("1.0555")


def test_what_has_no_solution_is_refused():
    with pytest.raises(ValueError, match=r"sampler\.step_size: null for levels of ratio 1; "):
        ncsnv2.step_size(1.0, 5)
    with pytest.raises(ValueError, match=r"sampler\.inner: 0; "):
        ncsnv2.step_size(1.3, 0)
