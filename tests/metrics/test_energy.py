"""The energy distance against laws where it is known, and its p-value under the null and off it."""

import math

import pytest
import torch
from scipy.stats import kstest

from difflab.errors import ConfigError
from difflab.metrics import energy_distance, energy_p_value, permutation_p_value

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def normal(n, d, seed, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def mean_of_folded(mean, variance):
    """E|Z| of Z normal."""
    std = math.sqrt(variance)
    return std * math.sqrt(2 / math.pi) * math.exp(-((mean / std) ** 2) / 2) + mean * math.erf(mean / std / 2**0.5)


def test_of_gaussians_on_the_line_it_is_what_the_folded_normal_says():
    """N(1, 4) against N(0, 1): X - Y is N(1, 5), X - X' is N(0, 8), Y - Y' is N(0, 2); quantiles in place of draws."""
    x = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)[:, None]
    exact = 2 * mean_of_folded(1, 5) - mean_of_folded(0, 8) - mean_of_folded(0, 2)
    assert energy_distance(1 + 2 * x, x[::2]) == pytest.approx(exact, rel=2e-3)


def test_of_gaussians_in_the_plane_it_is_an_integral_of_their_characteristic_functions():
    """|f - g|^2 / |t|^3 over the plane, divided by 2 pi (Szekely & Rizzo, 2013, proposition 1), for N(0, I), N(0, 4 I).

    By the sets: less what equal laws have from pairs of a point with itself, E|X - X'| / n + E|Y - Y'| / m.
    """
    r = torch.linspace(1e-6, 12, 200_001, dtype=torch.float64)
    integral = torch.trapezoid((torch.exp(-(r**2) / 2) - torch.exp(-2 * r**2)) ** 2 / r**2, r)
    a, b = normal(2500, 2, 0), 2 * normal(3000, 2, 1)
    alone = math.sqrt(math.pi) * (1 / len(a) + 2 / len(b))
    assert energy_distance(a, b) - alone == pytest.approx(float(integral), abs=0.02)
    assert 0.2 < float(integral) < 0.3


def test_it_is_the_mean_over_all_pairs_whatever_the_blocks(monkeypatch):
    a, b = normal(70, 5, 0), normal(45, 5, 1, 0.3)
    pairs = [(x[:, None] - y).norm(dim=2).mean() for x, y in ((a, b), (a, a), (b, b))]  # no product that cancels
    whole = float(2 * pairs[0] - pairs[1] - pairs[2])
    monkeypatch.setattr("difflab.metrics.energy.ROWS", 32)
    monkeypatch.setattr("difflab.metrics.pairs.ROWS", 16)
    monkeypatch.setattr("difflab.metrics.pairs.COLUMNS", 50)
    assert energy_distance(a, b) == pytest.approx(whole, rel=1e-9)


def test_equal_sets_have_none_and_places_far_away_cost_no_digits():
    a, b = normal(50, 2, 0), normal(60, 2, 1)
    assert energy_distance(a, a) == pytest.approx(0, abs=1e-7)
    assert energy_distance(a + 1e6, b + 1e6) == pytest.approx(energy_distance(a, b), rel=1e-6)
    assert energy_distance(3 * a, 3 * b) == pytest.approx(3 * energy_distance(a, b), rel=1e-9)


def test_all_permutations_at_once_are_each_by_itself():
    a, b = normal(30, 2, 0), normal(20, 2, 1, 0.5)
    assert energy_p_value(a, b, 99, 3) == permutation_p_value(energy_distance, a, b, 99, 3)
    assert energy_p_value(a, b, 99, 3) < 0.2


def test_under_the_null_p_values_are_uniform():
    """On 1/20 .. 20/20, each as likely as the others: jittered within its cell, a p-value is uniform on [0, 1]."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for seed in range(400):
        a, b = torch.rand(15, 2, generator=draw), torch.rand(10, 2, generator=draw)
        found.append(energy_p_value(a, b, 19, seed) - float(torch.rand((), generator=draw)) / 20)
    assert kstest(found, "uniform").pvalue > 0.01
    assert min(found) >= 0


def test_a_shifted_and_a_widened_set_are_found():
    a = normal(500, 2, 0)
    assert energy_p_value(a, normal(500, 2, 1, 0.3), 199, 0) == 1 / 200
    assert energy_p_value(a, 1.4 * normal(500, 2, 1), 199, 0) == 1 / 200
    assert energy_p_value(a, normal(500, 2, 1), 199, 0) > 0.02


def test_ties_count_against_a_difference():
    """Of three points, one against two, each as far from the others: every split has the same distance."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]], dtype=torch.float64)
    assert energy_p_value(corners[:1], corners[1:], 50, 0) == 1


def test_what_has_no_distance_is_refused():
    with pytest.raises(ConfigError, match=r"not finite, .* first is row 3"):
        energy_distance(torch.full((5, 2), 1.0).index_fill(0, torch.tensor([3]), torch.nan), normal(5, 2, 0))
    with pytest.raises(ConfigError, match=r"0 rows among the reference"):
        energy_distance(normal(5, 2, 0), torch.zeros(0, 2))
    with pytest.raises(ConfigError, match=r"metrics\.permutations: 0; allowed are whole numbers from 1"):
        energy_p_value(normal(5, 2, 0), normal(5, 2, 0), 0, 0)
