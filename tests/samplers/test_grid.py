import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from difflab.samplers import Leading, Trailing, Uniform
from difflab.schedules import Cosine
from tests.conftest import Exploding, every, option

GRIDS = every("grid")
CHAINS = {T: Cosine(T, offset=0.008, beta_max=0.999) for T in range(2, 41)}


@pytest.mark.parametrize("grid", GRIDS)
@given(T=st.sampled_from(sorted(CHAINS)), share=st.floats(0, 1))
def test_a_grid_is_as_long_as_asked_falls_and_stays_on_the_chain(grid, T, share):
    steps = 1 + int(share * (T - 1))
    schedule = CHAINS[T]
    t = grid(schedule, steps)
    assert t.dtype == torch.float64
    assert len(t) == steps
    assert (t.diff() < 0).all()
    assert schedule.t_min <= t.min()
    assert t.max() <= 1
    torch.testing.assert_close(t * T, (t * T).round(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("T", [2, 40, 1000])
def test_all_steps_are_every_step(grid, T):
    schedule = option("schedule", "cosine", f"schedule.T={T}")
    assert torch.equal(grid(schedule, T), torch.arange(T, 0, -1, dtype=torch.float64) / T)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("T", [2, 40])
def test_more_steps_than_the_chain_has_are_refused(grid, T):
    for steps in (T + 1, T + 3, 10 * T):
        with pytest.raises(ValueError, match=rf"sampler\.steps: {steps}; allowed are 1 to T = {T}"):
            grid(CHAINS[T], steps)


def test_uniform_has_both_ends_and_equal_gaps():
    assert (Uniform()(CHAINS[40], 14) * 40).round().tolist() == list(range(40, 0, -3))
    torch.testing.assert_close(Uniform()(Exploding(), 5), torch.tensor([1, 0.75, 0.5, 0.25, 0], dtype=torch.float64))


def test_leading_ends_at_the_first_step():
    assert (Leading()(CHAINS[40], 6) * 40).round().tolist() == [31, 25, 19, 13, 7, 1]
    with pytest.raises(ValueError, match="grid: leading"):
        Leading()(Exploding(), 5)


def test_trailing_starts_at_the_last_step():
    assert (Trailing()(CHAINS[40], 6) * 40).round().tolist() == [40, 33, 27, 20, 13, 7]
    torch.testing.assert_close(Trailing()(Exploding(), 4), torch.tensor([1, 0.75, 0.5, 0.25], dtype=torch.float64))
