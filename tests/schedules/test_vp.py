import pytest
import torch

from difflab.schedules import VP, Linear, SubVP

T = torch.linspace(0.05, 1, 20, dtype=torch.float64)
DEFAULT = {"beta_min": 0.1, "beta_max": 20.0, "t_min": 1e-3}


def test_it_is_the_limit_of_the_linear_chain():
    """The chain's error falls like 1/T; with that term extrapolated away, little is left."""
    exact = VP(**DEFAULT).marginal(T).alpha.log()
    coarse, fine = (Linear(n, beta_first=1e-4, beta_last=0.02).marginal(T).alpha.log() for n in (20_000, 40_000))
    torch.testing.assert_close((coarse - exact) / (fine - exact), torch.full_like(T, 2.0), rtol=5e-3, atol=0)
    torch.testing.assert_close(2 * fine - coarse, exact, rtol=0, atol=1e-6)


def test_it_is_the_integral_of_the_rate():
    """d log alpha / dt = -beta(t)/2 with beta from beta_min to beta_max in a line (Song et al., 2021, Eq. 32)."""
    t = T.clone().requires_grad_()
    (rate,) = torch.autograd.grad(VP(**DEFAULT).marginal(t).alpha.log().sum(), t)
    torch.testing.assert_close(-2 * rate, 0.1 + T * 19.9)
    assert float(VP(**DEFAULT).marginal(torch.zeros((), dtype=torch.float64)).alpha) == 1


def test_a_constant_rate():
    schedule = VP(beta_min=5.0, beta_max=5.0, t_min=0.01)
    torch.testing.assert_close(schedule.marginal(T).alpha, torch.exp(-2.5 * T))
    torch.testing.assert_close(schedule.time(schedule.marginal(T).log_snr), T, rtol=1e-12, atol=0)


def test_subvp_has_the_variance_of_vp_squared():
    """Sub-VP: Var = (1 - alpha^2)^2 where VP has 1 - alpha^2 (Song et al., 2021, Eq. 29)."""
    vp, subvp = VP(**DEFAULT).marginal(T), SubVP(**DEFAULT).marginal(T)
    assert torch.equal(vp.alpha, subvp.alpha)
    torch.testing.assert_close(subvp.sigma, vp.sigma**2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", [VP, SubVP])
def test_time_is_exact_next_to_the_data(kind):
    schedule = kind(beta_min=0.1, beta_max=20.0, t_min=1e-9)
    t = torch.logspace(-8, 0, 50, dtype=torch.float64)
    torch.testing.assert_close(schedule.time(schedule.marginal(t).log_snr), t, rtol=1e-11, atol=0)


@pytest.mark.parametrize("kind", [VP, SubVP])
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("beta_min", {"beta_min": 21.0}),
        ("beta_min", {"beta_min": 0.0}),
        ("beta_min", {"beta_max": float("inf")}),
        ("t_min", {"t_min": 0.0}),
        ("t_min", {"t_min": 1.0}),
    ],
)
def test_refusals_name_the_field(kind, field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        kind(**DEFAULT | change)
