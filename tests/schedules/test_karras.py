import pytest
import torch

from difflab.schedules import Karras


def test_equal_steps_are_the_noise_levels_of_edm():
    """Karras et al. (2022), Eq. 5, for i = 0 .. N-1 from the largest on."""
    N, i = 18, torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + i / (N - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    sigma = Karras(sigma_min=0.002, sigma_max=80.0, rho=7.0).marginal(1 - i / (N - 1)).sigma
    torch.testing.assert_close(sigma, expected, rtol=1e-12, atol=0)


def test_rho_one_is_linear():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(Karras(sigma_min=0.5, sigma_max=2.5, rho=1.0).marginal(t).sigma, 0.5 + 2 * t)


@pytest.mark.parametrize(
    ("field", "change"),
    [("sigma_min", {"sigma_min": -0.1}), ("sigma_min", {"sigma_min": 80.0}), ("rho", {"rho": 0.0})],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        Karras(**{"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0} | change)
