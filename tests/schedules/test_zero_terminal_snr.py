import pytest
import torch

from difflab.schedules import VP, Flow, Geometric, Learned, Linear, SubVP, ZeroTerminalSnr


def test_it_is_the_algorithm_on_the_grid_of_a_chain():
    """Lin et al. (2024), Algorithm 1: square roots of abar, shifted and scaled, and the betas that they give."""
    chain = Linear(100, beta_first=1e-4, beta_last=0.02)
    t = torch.arange(1, 101, dtype=torch.float64) / 100
    root = chain.marginal(t).alpha
    expected = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alpha, sigma, log_snr = ZeroTerminalSnr(chain).marginal(t)
    torch.testing.assert_close(alpha, expected, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(sigma, (1 - expected**2).sqrt(), rtol=1e-11, atol=0)
    assert (
        float(alpha[-1]) == 0 and float(log_snr[-1]) == -torch.inf and float(sigma[-1]) == pytest.approx(1, abs=1e-15)
    )
    assert float(alpha[0]) == float(root[0])


def test_log_snr_is_accurate_next_to_the_data():
    """Where sigma' is small: 1 - alpha'^2 = (1 - alpha')(1 + alpha') with 1 - alpha' from expm1 alone."""
    vp = VP(beta_min=0.1, beta_max=20.0, t_min=1e-6)
    t = torch.logspace(-6, -3, 20, dtype=torch.float64)
    lost = -torch.expm1(vp.log_alpha(t))  # 1 - alpha
    first = -torch.expm1(vp.log_alpha(t[0]))
    last = vp.marginal(torch.ones((), dtype=torch.float64)).alpha
    lost = first + (lost - first) * (1 - first) / (1 - first - last)
    expected = 2 * torch.log1p(-lost) - torch.log(lost * (2 - lost))
    torch.testing.assert_close(ZeroTerminalSnr(vp).marginal(t).log_snr, expected, rtol=1e-12, atol=0)


def test_a_schedule_without_a_last_signal_stays_as_it_is():
    chain = Linear(1000, beta_first=1e-4, beta_last=0.02)
    once = ZeroTerminalSnr(chain)
    t = torch.linspace(once.t_min, 1, 50, dtype=torch.float64)
    for ours, theirs in zip(ZeroTerminalSnr(once).marginal(t), once.marginal(t), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)


def test_a_learned_schedule_learns_on():
    schedule = Learned(log_snr_max=13.3, log_snr_min=-5.0, width=4)
    warped = ZeroTerminalSnr(schedule)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    (warped.slope(t).square().mean() + warped.marginal(t).log_snr.sum()).backward()
    for parameter in schedule.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any()


@pytest.mark.parametrize(
    "schedule",
    [
        SubVP(beta_min=0.1, beta_max=20.0, t_min=1e-3),
        Geometric(sigma_min=0.01, sigma_max=50.0, L=None),
        Flow(t_min=1e-3),
    ],
)
def test_only_variance_preserving_schedules(schedule):
    with pytest.raises(ValueError, match=rf"^warp: .*variance-preserving schedule; {type(schedule).__name__} is none"):
        ZeroTerminalSnr(schedule)
