from decimal import Decimal, getcontext

import pytest
import torch

from difflab.process import transition
from difflab.schedules import Sigmoid

getcontext().prec = 50
DEFAULT = {"T": 1000, "start": -3.0, "end": 3.0, "tau": 1.0, "beta_max": 0.999}


def exact(k, T, start, end, tau, beta_max):
    """log abar_k, in fifty digits, by the formula as it is printed."""

    def sigmoid(x):
        return 1 / (1 + (-x / Decimal(tau)).exp())

    start, end, t = Decimal(start), Decimal(end), Decimal(k) / T
    return float(((sigmoid(end) - sigmoid(t * (end - start) + start)) / (sigmoid(end) - sigmoid(start))).ln())


@pytest.mark.parametrize("change", [{}, {"T": 20}, {"start": 0.0, "tau": 0.5}, {"tau": 0.25}])
def test_all_but_the_last_step_follow_the_formula(change):
    settings = DEFAULT | change
    k = torch.linspace(1, settings["T"] - 1, 19, dtype=torch.float64).round()
    log_abar = 2 * Sigmoid(**settings).marginal(k / settings["T"]).alpha.log()
    expected = torch.tensor([exact(int(i), **settings) for i in k], dtype=torch.float64)
    torch.testing.assert_close(log_abar, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("T", [2, 3, 1000])
def test_only_the_last_beta_is_clipped(T):
    t = torch.arange(1, T + 1, dtype=torch.float64) / T
    betas = transition(Sigmoid(**DEFAULT | {"T": T}), t[:-1], t[1:]).var_ts
    assert float(betas[-1]) == pytest.approx(0.999, rel=1e-12)
    assert (betas[:-1] < 0.9).all()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("T", {"T": 1}),
        ("start", {"start": 3.0}),
        ("start", {"end": float("inf")}),
        ("tau", {"tau": 0.0}),
        ("tau", {"tau": 0.003}),  # S(start) = e^-1000: no noise in the first step
        ("beta_max", {"beta_max": 1.0}),
        ("beta_max", {"beta_max": 0.4}),  # below beta_{T-1} = 0.5
        ("beta_max", {"T": 3, "tau": 0.1}),  # beta_2 is above 0.999 too
    ],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        Sigmoid(**DEFAULT | change)
