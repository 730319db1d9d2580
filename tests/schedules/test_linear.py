import pytest
import torch

from difflab.process import transition
from difflab.schedules import Linear
from tests.conftest import printed

# Of k = 1 .. T: beta first and last, abar first, at T/2 and last, posterior variance at k = 2.
GOLDEN = {
    1000: ("1.000000e-4", "0.02000000", "0.9999000", "0.078587243", "4.03582977e-5", "5.45318766e-5"),
    4000: ("2.500000e-5", "0.00500000", "0.9999750", "0.078944873", "4.24665228e-5", "1.28036286e-5"),
}


@pytest.mark.parametrize("T", GOLDEN)
def test_golden_numbers(T):
    schedule = Linear(T, beta_first=1e-4, beta_last=0.02)
    t = torch.arange(1, T + 1, dtype=torch.float64) / T
    abar = schedule.marginal(t).alpha ** 2
    steps = transition(schedule, t[:-1], t[1:])
    found = (1 - abar[0], steps.var_ts[-1], abar[0], abar[T // 2 - 1], abar[-1], steps.posterior_var[0])
    for value, number in zip(found, GOLDEN[T], strict=True):
        assert float(value) == printed(number)


def test_betas_are_equally_spaced():
    t = torch.arange(1, 101, dtype=torch.float64) / 100
    betas = transition(Linear(100, beta_first=1e-4, beta_last=0.02), t[:-1], t[1:]).var_ts
    torch.testing.assert_close(betas, torch.linspace(1e-3, 0.2, 100, dtype=torch.float64)[1:], rtol=1e-12, atol=0)


@pytest.mark.parametrize("T", [20, 19, 1, 0, -5])
def test_too_few_steps_are_refused(T):
    with pytest.raises(ValueError, match=rf"schedule\.T: {T}.* T > 20"):
        Linear(T, beta_first=1e-4, beta_last=0.02)


def test_the_fewest_steps():
    schedule = Linear(21, beta_first=1e-4, beta_last=0.02)
    at = schedule.marginal(torch.arange(1, 22, dtype=torch.float64) / 21)
    assert at.log_snr.isfinite().all()


@pytest.mark.parametrize(
    ("field", "first", "last"),
    [
        ("first", -1e-4, 0.02),
        ("first", 0.0, 0.02),
        ("first", 1.0, 0.02),
        ("last", 1e-4, 0.0),
        ("last", 1e-4, -0.1),
        ("last", 1e-4, 1.5),
    ],
)
def test_betas_outside_zero_and_one_are_refused(field, first, last):
    with pytest.raises(ValueError, match=rf"schedule\.beta_{field}: "):
        Linear(4000, beta_first=first, beta_last=last)
