import pytest
import torch

from difflab.times import Uniform, place
from tests.conftest import option


@pytest.mark.parametrize("group", [("linear", "schedule.T=50"), ("geometric", "schedule.L=50")])
def test_every_step_has_the_same_chance(group):
    """5,000 draws: 100 for each of 50 steps, with a standard error of 10."""
    schedule = option("schedule", *group)
    uniform = torch.rand(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t, _ = Uniform()(uniform, schedule)
    values, counts = t.unique(return_counts=True)
    assert len(values) == 50
    assert (counts - 100).abs().max() < 5 * 10


def test_continuous_times_are_uniform_over_the_interval():
    schedule = option("schedule", "vp", "schedule.t_min=0.1")
    uniform = torch.linspace(0, 1, 11, dtype=torch.float64)
    expected = torch.linspace(0.1, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(Uniform()(uniform, schedule).t, expected, rtol=0, atol=1e-15)


def test_times_are_those_of_their_own_number():
    uniform = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    schedule = option("schedule", "linear")
    alone = torch.cat([Uniform()(u, schedule).t for u in uniform.split(1)])
    assert torch.equal(Uniform()(uniform, schedule).t, alone)


def test_the_ends_of_the_numbers_are_the_ends_of_the_chain():
    schedule = option("schedule", "linear")
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert (place(ends, schedule) * schedule.T).tolist() == [1, schedule.T]
