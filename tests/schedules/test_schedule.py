from copy import deepcopy

import pytest
import torch

from tests.conftest import every

SCHEDULES = every("schedule")


def inside(schedule, points=999):
    return torch.linspace(schedule.t_min, 1, points, dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_time_inverts_log_snr(schedule):
    t = inside(schedule)
    torch.testing.assert_close(schedule.time(schedule.marginal(t).log_snr), t, atol=1e-9, rtol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_time_stays_inside(schedule):
    beyond = torch.tensor([1e4, -1e4], dtype=torch.float64)
    torch.testing.assert_close(schedule.time(beyond), torch.tensor([schedule.t_min, 1], dtype=torch.float64))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_log_snr_is_finite_and_falls(schedule):
    log_snr = schedule.marginal(inside(schedule)).log_snr
    assert log_snr.isfinite().all()
    assert (log_snr.diff() < 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_log_snr_is_that_of_alpha_and_sigma(schedule):
    at = schedule.marginal(inside(schedule))
    torch.testing.assert_close(at.log_snr, 2 * (at.alpha / at.sigma).log(), atol=1e-10, rtol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_prior_has_the_deviation_of_the_noisiest_state(schedule):
    """For data of unit variance, alpha^2 + sigma^2 at t = 1."""
    alpha, sigma, _ = schedule.marginal(torch.ones((), dtype=torch.float64))
    assert (alpha**2 + sigma**2).sqrt() == pytest.approx(schedule.prior_std, rel=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_coefficients_are_float64_of_the_shape_of_t(schedule):
    for t in (torch.tensor(0.5), torch.rand(3).clamp(min=schedule.t_min), torch.full((2, 3), 0.25)):
        for coefficient in schedule.marginal(t):
            assert coefficient.dtype == torch.float64
            assert coefficient.shape == t.shape


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_casting_the_module_keeps_the_coefficients(schedule):
    t = inside(schedule)
    cast = deepcopy(schedule).to(torch.bfloat16)
    for ours, theirs in zip(schedule.marginal(t), cast.marginal(t), strict=True):
        assert torch.equal(ours, theirs)
