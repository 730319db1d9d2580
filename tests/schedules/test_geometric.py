import pytest
import torch

from difflab.schedules import Geometric


def test_levels_of_a_ladder_are_a_geometric_sequence():
    schedule = Geometric(sigma_min=0.01, sigma_max=50.0, L=232)
    assert schedule.T is None and schedule.L == 232
    sigma = schedule.marginal(torch.arange(232, dtype=torch.float64) / 231).sigma
    assert float(sigma[0]) == pytest.approx(0.01) and float(sigma[-1]) == pytest.approx(50)
    ratio = sigma[1:] / sigma[:-1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1.037559), rtol=5e-7, atol=0)


def test_continuous_time_is_the_same_without_levels():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    schedule = Geometric(sigma_min=0.01, sigma_max=50.0, L=None)
    assert schedule.L is None
    torch.testing.assert_close(schedule.marginal(t).sigma, 0.01 ** (1 - t) * 50**t)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("sigma_min", {"sigma_min": 0.0}),
        ("sigma_min", {"sigma_min": 50.0}),
        ("sigma_min", {"sigma_max": float("inf")}),
        ("L", {"L": 1}),
    ],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        Geometric(**{"sigma_min": 0.01, "sigma_max": 50.0, "L": None} | change)
