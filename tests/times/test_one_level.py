import pytest
import torch

from difflab.times import OneLevel
from tests.conftest import option

UNIFORM = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["vp", "flow", "karras", "geometric"])
@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_every_example_has_this_noise(name, sigma):
    schedule = option("schedule", name)
    drawn = OneLevel(sigma, schedule)(UNIFORM, schedule)
    at = schedule.marginal(drawn.t)
    torch.testing.assert_close(at.sigma / at.alpha, torch.full_like(UNIFORM, sigma), rtol=1e-6, atol=0)
    assert (drawn.weight == 1).all()


def test_on_a_chain_and_a_ladder_it_is_the_nearest_one():
    for schedule, times in (
        (option("schedule", "cosine", "schedule.T=20"), torch.arange(1, 21).double() / 20),
        (option("schedule", "geometric", "schedule.L=10"), torch.arange(10).double() / 9),
    ):
        (t,) = OneLevel(0.7, schedule)(UNIFORM, schedule).t.unique()
        exact = schedule.time(torch.tensor(0.7, dtype=torch.float64).log() * -2)
        assert t == times[(times - exact).abs().argmin()]


@pytest.mark.parametrize(("name", "sigma"), [("geometric", 0.009), ("geometric", 51.0), ("linear", 0.001), ("vp", 1e9)])
def test_noise_that_the_schedule_does_not_have_is_refused(name, sigma):
    with pytest.raises(ValueError, match=r"^times\.sigma: .*; allowed are .* to "):
        OneLevel(sigma, option("schedule", name))


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("inf"), float("nan")])
def test_no_number_is_no_level(sigma):
    with pytest.raises(ValueError, match=r"^times\.sigma: "):
        OneLevel(sigma, option("schedule", "flow"))


def test_both_ends_of_a_schedule_are_levels_of_it():
    schedule = option("schedule", "geometric")
    assert OneLevel(0.01, schedule)(UNIFORM, schedule).t.unique().tolist() == [0]
    assert OneLevel(50.0, schedule)(UNIFORM, schedule).t.unique().tolist() == pytest.approx([1])
