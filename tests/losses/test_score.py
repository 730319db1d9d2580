import pytest
import torch

from difflab.losses import Noised, Score, Simple
from difflab.prediction import Denoiser, Eps
from difflab.process import diffuse
from tests.conftest import Exploding, Formula, every

SCHEDULES = [*every("schedule"), pytest.param(Exploding(), id="exploding")]


@pytest.fixture(params=SCHEDULES)
def case(request):
    """A schedule, a denoiser that is wrong, and examples over all times."""
    schedule = request.param
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 60, 2, 3, dtype=torch.float64, generator=draw)
    t = torch.linspace(schedule.t_min, 0.999, 60, dtype=torch.float64)
    noised = Noised(x0, eps, t, diffuse(schedule, x0, eps, t))
    return schedule, Denoiser(Formula(lambda x, t: output), schedule, Eps()), noised


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.5])
def test_it_is_the_error_of_the_score_times_a_power_of_sigma(case, power):
    schedule, denoise, noised = case
    alpha, sigma = (c.reshape(-1, 1, 1) for c in schedule.marginal(noised.t)[:2])
    true = -(noised.x_t - alpha * noised.x0) / sigma**2
    error = (denoise(noised.x_t, noised.t).score - true).square().flatten(1).mean(1)
    expected = sigma.flatten() ** power / 2 * error
    torch.testing.assert_close(Score(power)(denoise, noised, schedule), expected, rtol=1e-9, atol=0)


def test_power_2_is_exactly_half_of_simple(case):
    schedule, denoise, noised = case
    assert torch.equal(2 * Score(2.0)(denoise, noised, schedule), Simple()(denoise, noised, schedule))
