import math

import pytest
import torch

from difflab.process import transition
from difflab.schedules import Cosine
from tests.conftest import printed

# Of k = 1 .. T: beta first and last, abar first, at T/2 and last, posterior variance at k = 2.
GOLDEN = {
    1000: ("4.128422e-5", "0.999000", "0.99995872", "0.493843590", "2.42876691e-9", "2.17894961e-5"),
    4000: ("9.865819e-6", "0.999000", "0.99999013", "0.493843590", "1.51798047e-10", "5.00768340e-6"),
}


@pytest.mark.parametrize("T", GOLDEN)
def test_golden_numbers(T):
    schedule = Cosine(T, offset=0.008, beta_max=0.999)
    t = torch.arange(1, T + 1, dtype=torch.float64) / T
    abar = schedule.marginal(t).alpha ** 2
    steps = transition(schedule, t[:-1], t[1:])
    found = (1 - abar[0], steps.var_ts[-1], abar[0], abar[T // 2 - 1], abar[-1], steps.posterior_var[0])
    for value, number in zip(found, GOLDEN[T], strict=True):
        assert float(value) == printed(number)


def test_all_but_the_last_step_follow_the_formula():
    t = torch.arange(1, 50, dtype=torch.float64) / 50
    abar = Cosine(50, offset=0.008, beta_max=0.999).marginal(t).alpha ** 2
    f = [math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (0.0, *t.tolist())]
    torch.testing.assert_close(abar, torch.tensor(f[1:], dtype=torch.float64) / f[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("T", {"T": 1}),
        ("T", {"T": 0}),
        ("beta_max", {"beta_max": 1.0}),
        ("beta_max", {"beta_max": 0.5}),
        ("offset", {"offset": -0.1}),
    ],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"schedule\.{field}: "):
        Cosine(**{"T": 100, "offset": 0.008, "beta_max": 0.999} | change)
