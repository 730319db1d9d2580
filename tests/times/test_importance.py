import copy
import math

import pytest
import torch

from difflab.times import Importance, Uniform
from difflab.times.piecewise import middles
from tests.conftest import option


def uniform(n, seed=0):
    return torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def peaked(t, seed):
    """A toy loss with most of its mass next to t_min, and noise."""
    noise = torch.randn(t.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (5 * torch.exp(-30 * t) + 0.02) * (1 + 0.2 * noise)


@pytest.mark.parametrize("name", ["linear", "geometric", "vp"])
def test_the_mean_is_that_of_uniform_times_with_less_variance(name):
    """100,000 draws after 200 batches of 128: within 3 standard errors."""
    schedule = option("schedule", name, *(["schedule.T=100"] if name == "linear" else []))
    times = Importance(schedule, 100, 10, 0.001)
    for step in range(200):
        t, _ = times(uniform(128, step), schedule)
        times.observe(t, peaked(t, step), schedule)
    assert (times.seen >= 10).all()
    t, weight = times(uniform(100_000, 1000), schedule)
    drawn = weight * peaked(t, 1001)
    plain = peaked(Uniform()(uniform(100_000, 1002), schedule).t, 1003)
    error = ((drawn.var() + plain.var()) / 100_000) ** 0.5
    assert (drawn.mean() - plain.mean()).abs() < 3 * error
    assert drawn.var() < 0.3 * plain.var()


def test_the_density_is_the_root_of_the_mean_square_of_the_last_losses():
    schedule = option("schedule", "linear", "schedule.T=30")
    times = Importance(schedule, 1, 4, 0.01)
    losses = torch.rand(30, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for column in losses.unbind(1):
        times.observe(middles(30, schedule), column.float(), schedule)
    rms = losses[:, 3:].float().double().square().mean(1).sqrt()
    torch.testing.assert_close(times.density(), 0.99 * rms / rms.sum() + 0.01 / 30)
    t, weight = times(uniform(1000), schedule)
    torch.testing.assert_close(weight, 1 / (30 * times.density()[(t * 30).round().long() - 1]))


@pytest.mark.parametrize("batch", [1, 5, 64, 1000])
def test_a_cell_remembers_its_last_losses_in_the_order_of_the_batch(batch):
    """Against a list for each cell, an example at a time, with losses that are not finite among them."""
    schedule = option("schedule", "cosine", "schedule.T=5")
    times, history = Importance(schedule, 1, 3, 0.01), [[] for _ in range(5)]
    draws, losses = uniform(3 * batch), uniform(3 * batch, seed=1)
    losses[::7], losses[3::11] = math.nan, math.inf
    for u, loss in zip(draws.split(batch), losses.split(batch), strict=True):
        t, _ = Uniform()(u, schedule)
        times.observe(t, loss, schedule)
        for k, value in zip((t * 5).round().long().tolist(), loss.tolist(), strict=True):
            if math.isfinite(value):
                history[k - 1].append(value)
    assert times.seen.tolist() == [len(h) for h in history]
    for row, h in zip(times.losses.tolist(), history, strict=True):
        expected = [0.0] * 3
        for n, value in enumerate(h):
            expected[n % 3] = value
        assert row == expected


def test_times_are_uniform_until_every_cell_has_its_history():
    schedule = option("schedule", "cosine", "schedule.T=20")
    times, t = Importance(schedule, 1, 3, 0.001), middles(20, schedule)
    for _ in range(3):
        times.observe(t[:-1], 100 * t[:-1], schedule)
    times.observe(t[-1:].expand(2), torch.full((2,), 1e6), schedule)
    plain = Uniform()(uniform(500), schedule)
    assert torch.equal(times(uniform(500), schedule).t, plain.t)
    torch.testing.assert_close(times(uniform(500), schedule).weight, plain.weight)
    times.observe(t[-1:], torch.full((1,), 1e6), schedule)
    assert (times(uniform(500), schedule).t == 1).double().mean() > 0.99


def test_the_state_round_trips_and_then_draws_the_same_bits():
    schedule = option("schedule", "vp")
    times, fresh = (Importance(schedule, 10, 3, 0.001) for _ in range(2))
    times.observe(uniform(200).clamp(min=schedule.t_min), peaked(uniform(200), 0), schedule)
    state = copy.deepcopy(times.state_dict())
    fresh.load_state_dict(state)
    assert {name: value.dtype for name, value in state.items()} == {"losses": torch.float64, "seen": torch.int64}
    for step in range(3):
        drawn, again = times(uniform(64, step), schedule), fresh(uniform(64, step), schedule)
        assert torch.equal(drawn.t, again.t)
        assert torch.equal(drawn.weight, again.weight)
        for each in (times, fresh):
            each.observe(drawn.t, peaked(drawn.t, step), schedule)
    assert not torch.equal(drawn.t, Uniform()(uniform(64, 2), schedule).t)


def test_casting_the_module_leaves_the_history_in_float64():
    times = Importance(option("schedule", "vp"), 10, 3, 0.001).half()
    assert times.losses.dtype == torch.float64
    assert times.seen.dtype == torch.int64


def test_losses_of_nothing_but_zero_leave_times_uniform():
    schedule = option("schedule", "cosine", "schedule.T=20")
    times = Importance(schedule, 1, 1, 0.001)
    times.observe(middles(20, schedule), torch.zeros(20), schedule)
    torch.testing.assert_close(times.density(), torch.full((20,), 1 / 20, dtype=torch.float64))


@pytest.mark.parametrize(
    ("cells", "history", "share", "field"),
    [(0, 10, 0.1, "cells"), (10, 0, 0.1, "history"), (10, 10, 0.0, "uniform_share"), (10, 10, 1.0, "uniform_share")],
)
def test_refusals_name_the_field(cells, history, share, field):
    with pytest.raises(ValueError, match=rf"^times\.{field}: .*; allowed are "):
        Importance(option("schedule", "vp"), cells, history, share)
