"""What holds for every way of drawing times, on chains, ladders and in continuous time."""

import pytest
import torch

from difflab.losses import Score
from difflab.prediction import Denoiser, V
from difflab.times import Observer, Times
from difflab.times.piecewise import cell, middles
from difflab.times.times import cells, normal
from tests.conftest import Formula, option, options

SCHEDULES = {
    "chain": option("schedule", "linear", "schedule.T=50"),
    "ladder": option("schedule", "geometric", "schedule.L=10"),
    "vp": option("schedule", "vp"),
    "flow": option("schedule", "flow"),
    "karras": option("schedule", "karras"),
}


def made(name, schedule):
    """The object of a YAML, with whatever it is offered; times that learn have seen losses that differ by 100."""
    denoise = Denoiser(Formula(lambda x, t: x), schedule, V())
    times = option("times", name, schedule=schedule, loss=Score(1.0), denoise=denoise)
    if isinstance(times, Observer):
        t = middles(cells(schedule, 100), schedule).repeat(10)
        times.observe(t, 1 + 100 * t**4, schedule)
    return times


def midpoints(n):
    """Numbers that stand for [0, 1): expectations over them are exact but for the grid."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return SCHEDULES[request.param]


@pytest.fixture(params=options("times"))
def name(request):
    return request.param


def test_times_are_those_the_network_is_trained_at(schedule, name):
    ends = torch.tensor([0.0, 2**-53, 0.5, 1 - 2**-53], dtype=torch.float64)
    drawn = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = made(name, schedule)
    assert isinstance(times, Times)
    for uniform in (drawn, ends, *ends.split(1)):
        t, weight = times(uniform, schedule)
        assert t.dtype == weight.dtype == torch.float64
        assert t.shape == weight.shape == uniform.shape
        assert (t >= schedule.t_min).all() and (t <= 1).all()
        assert weight.isfinite().all() and (weight > 0).all()
        if schedule.T is not None:
            torch.testing.assert_close(t * schedule.T, (t * schedule.T).round(), rtol=0, atol=1e-9)
        if schedule.L is not None:
            torch.testing.assert_close(t * (schedule.L - 1), (t * (schedule.L - 1)).round(), rtol=0, atol=1e-9)


def test_unbiased_times_give_the_mean_that_uniform_ones_give(schedule, name):
    """E[weight f(t)] = E[f(t)] for t uniform over steps, levels or [t_min, 1]; all others have no weights."""
    times = made(name, schedule)
    t, weight = times(midpoints(100_000), schedule)
    if not times.unbiased:
        assert (weight == 1).all()
        return
    whole = middles(cells(schedule, 100_000), schedule)
    for f in (torch.ones_like, torch.exp, lambda t: (20 * t).sin(), lambda t: 1 / (t + 0.01)):
        torch.testing.assert_close((weight * f(t)).mean(), f(whole).mean(), rtol=5e-4, atol=5e-4)


def test_every_place_of_a_batch_has_the_same_density(schedule, name):
    """500 batches of 8: at each place the distribution of times is that of the whole batch, by Kolmogorov-Smirnov."""
    times = made(name, schedule)
    uniform = torch.rand(500, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    grid = middles(cells(schedule, 500), schedule) + 1e-9
    whole = torch.searchsorted(times(midpoints(20_000), schedule).t.sort().values, grid) / 20_000
    for place in torch.stack([times(u, schedule).t for u in uniform]).unbind(1):
        below = torch.searchsorted(place.sort().values, grid) / 500
        assert (below - whole).abs().max() < 2.3 / 500**0.5  # p = 5e-5 for each of 280


def test_cells_are_found_again(schedule):
    n = cells(schedule, 37)
    assert cell(middles(n, schedule), n, schedule).tolist() == list(range(n))


def test_normal_numbers_are_finite_and_of_the_right_distribution():
    found = normal(torch.tensor([0.0, 1 - 2**-53, 0.5, 0.975, 0.158655253931457], dtype=torch.float64))
    assert found[:2].isfinite().all()
    expected = torch.tensor([0, 1.959963984540054, -1], dtype=torch.float64)
    torch.testing.assert_close(found[2:], expected, rtol=0, atol=1e-12)
