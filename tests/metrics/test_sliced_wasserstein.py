"""The sliced Wasserstein distance: exact in each direction, for sets of any sizes."""

import math

import pytest
import torch
from scipy.stats import kstest, wasserstein_distance
from torch.nn.functional import normalize

from difflab.errors import ConfigError
from difflab.metrics import permutation_p_value, sliced_wasserstein, sliced_wasserstein_p_value
from difflab.randomness import normal as drawn
from difflab.randomness import stream

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def axes(directions, d, seed):
    return normalize(drawn(stream(seed, "directions"), (directions, d)).double())


@pytest.mark.parametrize("shift", [(0.0, 0.7), (-3.0, 1.0), (1e-3, 0.0)])
def test_of_shifted_sets_it_is_the_shift_seen_from_each_direction(shift):
    v, x = torch.tensor(shift, dtype=torch.float64), normal(200, 2, 0)
    seen = (axes(40, 2, 5) @ v).abs().mean()
    assert sliced_wasserstein(x + v, x, 40, 5) == pytest.approx(float(seen), rel=1e-9)
    assert sliced_wasserstein(x + v, x, 4000, 5) == pytest.approx(2 / math.pi * float(v.norm()), rel=0.02)


@pytest.mark.parametrize("sizes", [(50, 50), (50, 75), (7, 200), (1, 3)])
def test_of_sets_of_any_sizes_it_is_exact_on_the_line(sizes):
    a, b = normal(sizes[0], 3, 0), 0.5 + 2 * normal(sizes[1], 3, 1)
    each = [wasserstein_distance((a @ u).numpy(), (b @ u).numpy()) for u in axes(6, 3, 1)]
    assert sliced_wasserstein(a, b, 6, 1) == pytest.approx(sum(each) / 6, rel=1e-9)


def test_a_set_repeated_is_the_same_set():
    a = normal(40, 2, 0)
    assert sliced_wasserstein(a, a.repeat(3, 1), 10, 0) == pytest.approx(0, abs=1e-12)


def test_all_permutations_at_once_are_each_by_itself():
    a, b = normal(30, 2, 0), 0.4 + normal(20, 2, 1)
    each = permutation_p_value(lambda x, y: sliced_wasserstein(x, y, 5, 3), a, b, 99, 3)
    assert sliced_wasserstein_p_value(a, b, 5, 99, 3) == each
    assert each < 0.3


def test_under_the_null_p_values_are_uniform_and_a_shift_is_found():
    draw = torch.Generator().manual_seed(0)
    found = []
    for seed in range(300):
        a, b = torch.rand(15, 2, generator=draw), torch.rand(10, 2, generator=draw)
        jitter = float(torch.rand((), generator=draw)) / 20
        found.append(sliced_wasserstein_p_value(a, b, 5, 19, seed) - jitter)
    assert kstest(found, "uniform").pvalue > 0.01
    assert sliced_wasserstein_p_value(normal(400, 2, 0), normal(400, 2, 1) + 0.3, 20, 199, 0) == 1 / 200


def test_what_has_no_distance_is_refused():
    with pytest.raises(ConfigError, match="not finite"):
        sliced_wasserstein(torch.full((5, 2), torch.inf), normal(5, 2, 0), 5, 0)
