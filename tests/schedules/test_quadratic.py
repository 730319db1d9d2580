import pytest
import torch

from difflab.process import transition
from difflab.schedules import Quadratic


@pytest.mark.parametrize("T", [100, 1000])
def test_square_roots_of_the_betas_are_equally_spaced(T):
    t = torch.arange(1, T + 1, dtype=torch.float64) / T
    schedule = Quadratic(T, beta_first=8.5e-4, beta_last=0.012)
    betas = torch.cat([1 - schedule.marginal(t[:1]).alpha ** 2, 1 - transition(schedule, t[:-1], t[1:]).alpha_ts ** 2])
    roots = (betas * T / 1000).sqrt()
    assert float(roots[0]) == pytest.approx(8.5e-4**0.5, rel=1e-9)
    assert float(roots[-1]) == pytest.approx(0.012**0.5, rel=1e-9)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(T - 1), rtol=1e-7, atol=0)


def test_abar_of_stable_diffusion():
    """0.0047: what is left of the signal after its 1,000 steps (Lin et al., 2024, Table 1: sqrt is 0.068265)."""
    alpha = Quadratic(1000, beta_first=8.5e-4, beta_last=0.012).marginal(torch.ones((), dtype=torch.float64)).alpha
    assert float(alpha) == pytest.approx(0.068265, abs=5e-7)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("T", {"T": 20}),
        ("beta_first", {"beta_first": 0.0}),
        ("beta_last", {"beta_last": 1.0}),
        ("beta_last", {"beta_last": float("nan")}),
    ],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        Quadratic(**{"T": 100, "beta_first": 1e-4, "beta_last": 0.02} | change)
