"""What holds for every way of drawing times."""

import pytest
import torch

from difflab.times import spread
from tests.conftest import Exploding, every, option


def uniform(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("times", every("times"))
@pytest.mark.parametrize("schedule", every("schedule", "schedule.T=50"))
def test_every_step_has_the_same_chance_at_every_place_of_the_batch(schedule, times):
    """5,000 batches of 8 images: 100 for each of 50 steps and 8 places, with a standard error of 10."""
    t = torch.stack([times(u, schedule) for u in uniform(5_000, 8)])
    k = t * schedule.T
    torch.testing.assert_close(k, k.round(), rtol=0, atol=1e-9)
    for place in k.round().long().unbind(1):
        counts = place.bincount(minlength=51)
        assert counts[0] == 0
        assert (counts[1:] - 100).abs().max() < 5 * 10


@pytest.mark.parametrize("times", every("times"))
def test_times_of_a_schedule_without_steps_are_uniform_over_its_interval(times):
    schedule = Exploding()
    schedule.t_min = 0.1
    t = torch.stack([times(u, schedule) for u in uniform(5_000, 8)])
    for place in t.unbind(1):
        kolmogorov = (place.sort().values - torch.linspace(0.1, 1, 5_000, dtype=torch.float64)).abs().max()
        assert kolmogorov < 0.9 * 1.95 / 5_000**0.5


@pytest.mark.parametrize("schedule", every("schedule"))
def test_the_ends_of_the_uniform_numbers_are_the_ends_of_the_chain(schedule):
    last = torch.tensor([0.0, 1 - 2**-53, 1.0], dtype=torch.float64)
    assert (spread(last, schedule) * schedule.T).tolist() == [1, schedule.T, schedule.T]


def test_uniform_times_are_those_of_their_own_number():
    u = uniform(20)
    together = option("times", "uniform")(u, option("schedule", "linear"))
    alone = torch.cat([option("times", "uniform")(u[i : i + 1], option("schedule", "linear")) for i in range(20)])
    assert torch.equal(together, alone)
