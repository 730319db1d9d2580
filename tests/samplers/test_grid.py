import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from difflab.samplers.grid import Explicit, Karras, Leading, LogSNR, Quadratic, Trailing, Uniform
from difflab.schedules import Cosine, Flow, Geometric, Linear, ZeroTerminalSnr
from difflab.schedules import Karras as KarrasSchedule
from tests.conftest import Exploding, every, option

GRIDS = every("grid")
BETWEEN = {"log_snr", "karras", "explicit"}  # may fall between the steps of a chain
SNAPPED = [grid for grid in GRIDS if grid.id not in BETWEEN]
CHAINS = {T: Cosine(T, offset=0.008, beta_max=0.999) for T in range(2, 41)}
LINEAR = Linear(1000, beta_first=1e-4, beta_last=0.02)


def times(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize("grid", SNAPPED)
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


@pytest.mark.parametrize("steps", [1, 2, 7, 200])
@pytest.mark.parametrize("schedule", [*every("schedule"), pytest.param(Exploding(), id="exploding")])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_falls_within_any_schedule_or_needs_a_chain(grid, schedule, steps):
    if isinstance(grid, Leading) and schedule.T is None:
        with pytest.raises(ValueError, match="grid: leading"):
            grid(schedule, steps)
        return
    t = grid(schedule, steps)
    assert t.dtype == torch.float64
    assert len(t) == grid.steps or len(t) == steps
    assert (t.diff() < 0).all()
    assert schedule.t_min <= t[-1]
    assert t[0] <= 1
    if not isinstance(grid, Leading):
        assert t[0] == 1
    if not isinstance(grid, Trailing) and len(t) > 1:
        assert t[-1] == schedule.t_min


@pytest.mark.parametrize("grid", SNAPPED)
@pytest.mark.parametrize("T", [2, 40, 1000])
def test_all_steps_are_every_step(grid, T):
    schedule = option("schedule", "cosine", f"schedule.T={T}")
    assert torch.equal(grid(schedule, T), torch.arange(T, 0, -1, dtype=torch.float64) / T)


@pytest.mark.parametrize("grid", SNAPPED)
@pytest.mark.parametrize("T", [2, 40])
def test_more_steps_than_the_chain_has_are_refused(grid, T):
    for steps in (T + 1, T + 3, 10 * T):
        with pytest.raises(ValueError, match=rf"sampler\.steps: {steps}; allowed are 1 to T = {T}"):
            grid(CHAINS[T], steps)


def test_uniform_has_both_ends_and_equal_gaps():
    assert (Uniform()(CHAINS[40], 14) * 40).round().tolist() == list(range(40, 0, -3))
    torch.testing.assert_close(Uniform()(Exploding(), 5), times(1, 0.75, 0.5, 0.25, 0))


def test_uniform_has_the_levels_of_a_ladder():
    ladder = Geometric(0.01, 50.0, 10)
    torch.testing.assert_close(Uniform()(ladder, 10), torch.arange(9, -1, -1, dtype=torch.float64) / 9)
    sigma = ladder.marginal(Uniform()(ladder, 10)).sigma
    torch.testing.assert_close(sigma[1:] / sigma[:-1], torch.full((9,), (0.01 / 50) ** (1 / 9), dtype=torch.float64))


def test_leading_ends_at_the_first_step():
    assert (Leading()(CHAINS[40], 6) * 40).round().tolist() == [31, 25, 19, 13, 7, 1]
    with pytest.raises(ValueError, match="grid: leading"):
        Leading()(Exploding(), 5)


def test_trailing_starts_at_the_last_step():
    assert (Trailing()(CHAINS[40], 6) * 40).round().tolist() == [40, 33, 27, 20, 13, 7]
    torch.testing.assert_close(Trailing()(Exploding(), 4), times(1, 0.75, 0.5, 0.25))


def test_quadratic_has_equal_gaps_in_the_root_of_time():
    torch.testing.assert_close(Quadratic()(Exploding(), 5).sqrt(), times(1, 0.75, 0.5, 0.25, 0))
    root = Quadratic()(Flow(0.01), 10).sqrt()
    torch.testing.assert_close(root, torch.linspace(1, 0.1, 10, dtype=torch.float64))
    coarse = Quadratic()(LINEAR, 10)
    exact = torch.linspace(1, 0.001**0.5, 10, dtype=torch.float64) ** 2
    torch.testing.assert_close(coarse, exact, rtol=0, atol=0.5001 / 1000)


def test_quadratic_takes_the_first_steps_of_a_chain_one_by_one():
    k = (Quadratic()(LINEAR, 300) * 1000).round().flip(0)
    alone = int((k == torch.arange(1, 301)).sum())
    assert 20 < alone < 100
    assert (k[:alone].diff() == 1).all()
    exact = torch.linspace(0.001**0.5, 1, 300, dtype=torch.float64) ** 2 * 1000
    torch.testing.assert_close(k[alone:], exact[alone:], rtol=0, atol=0.5001)


def test_log_snr_has_equal_gaps_in_log_snr():
    for schedule in (LINEAR, Geometric(0.01, 50.0, None), Exploding()):
        log_snr = schedule.marginal(LogSNR(-10.0)(schedule, 12)).log_snr
        torch.testing.assert_close(log_snr.diff(), log_snr.diff().mean().expand(11), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", [Flow(1e-3), ZeroTerminalSnr(LINEAR)], ids=["flow", "zero_terminal_snr"])
def test_log_snr_takes_a_finite_bound_in_the_place_of_an_infinite_end(schedule):
    grid = LogSNR(-10.0)(schedule, 12)
    log_snr = schedule.marginal(grid).log_snr
    assert (grid[0], log_snr[0]) == (1, -torch.inf)
    gap = (float(log_snr[-1]) + 10) / 11
    torch.testing.assert_close(log_snr[1:], -10 + gap * torch.arange(1, 12, dtype=torch.float64))


def test_karras_is_the_spacing_of_edm():
    """Eq. 5 as it is written, with its values."""
    schedule = Geometric(0.002, 80.0, None)
    i = torch.arange(18, dtype=torch.float64)
    wanted = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(schedule.marginal(Karras(7.0, 80.0)(schedule, 18)).sigma, wanted)
    own = KarrasSchedule(0.002, 80.0, 7.0)
    torch.testing.assert_close(Karras(7.0, 80.0)(own, 18), Uniform()(own, 18))


def test_karras_spaces_the_noise_of_the_scaled_state():
    at = LINEAR.marginal(Karras(3.0, 80.0)(LINEAR, 12))
    root = (at.sigma / at.alpha) ** (1 / 3)
    torch.testing.assert_close(root.diff(), root.diff().mean().expand(11), rtol=1e-9, atol=0)


def test_karras_takes_a_finite_bound_in_the_place_of_an_infinite_end():
    schedule = Flow(1e-3)
    grid = Karras(7.0, 80.0)(schedule, 12)
    assert (grid[0], grid[-1]) == (1, 1e-3)
    at = schedule.marginal(grid[1:])
    root = (at.sigma / at.alpha) ** (1 / 7)
    torch.testing.assert_close(root.diff(), (root[0] - 80 ** (1 / 7)).expand(10), rtol=1e-9, atol=0)


def test_explicit_is_the_list_and_its_length_is_the_number_of_steps():
    grid = option("grid", "explicit", "grid.times=[1,0.5,0.1]")
    assert grid.steps == 3
    torch.testing.assert_close(grid(Exploding(), 3), times(1, 0.5, 0.1))
    torch.testing.assert_close(option("sampler", "ddim", "grid=explicit").times(LINEAR)[0], times(1.0)[0])
    assert len(option("sampler", "ddim", "grid=explicit", "grid.times=[1,0.5,0.1]").times(LINEAR)) == 3
    torch.testing.assert_close(Explicit([1.0, 0.3, 0.0])(Flow(0.01), 3), times(1.0, 0.3, 0.01))


@pytest.mark.parametrize("given", [[], [0.5, 0.5], [0.1, 0.5], [1.1, 0.5], [0.5, -0.1], [math.nan], [1.0, math.nan]])
def test_lists_that_do_not_fall_within_the_schedule_are_refused(given):
    with pytest.raises(ValueError, match=r"grid\.times: \["):
        Explicit(given)


def test_two_times_before_the_first_are_refused():
    with pytest.raises(ValueError, match=r"grid\.times: .* t_min = 0.01"):
        Explicit([1.0, 0.01, 0.0])(Flow(0.01), 3)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_karras_needs_positive_numbers(value):
    with pytest.raises(ValueError, match=r"grid\.rho: "):
        Karras(value, 80.0)
    with pytest.raises(ValueError, match=r"grid\.sigma_max: "):
        Karras(7.0, value)


def test_bounds_on_the_wrong_side_are_refused_where_they_are_needed():
    with pytest.raises(ValueError, match=r"grid\.lowest: inf; "):
        LogSNR(math.inf)
    with pytest.raises(ValueError, match=r"grid\.lowest: 20\.0; .*t_min"):
        LogSNR(20.0)(Flow(1e-3), 5)
    with pytest.raises(ValueError, match=r"grid\.sigma_max: 0\.0001; .*t_min"):
        Karras(7.0, 1e-4)(Flow(1e-3), 5)
    assert len(LogSNR(20.0)(LINEAR, 5)) == 5
