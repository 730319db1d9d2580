"""The adaptive probability-flow ODE, against its closed form on Gaussian data and a fixed-step sampler."""

import math

import pytest
import torch

from difflab.models import Gaussian, Mixture, Oracle
from difflab.prediction import Denoiser, V
from difflab.samplers.grid import Uniform
from difflab.samplers.heun import Heun
from difflab.samplers.ode import ODE
from difflab.samplers.sampler import Walk
from tests.conftest import every, option

MIXTURE = Mixture([0.2, 0.8], [[-0.6, 0.5], [0.15, -0.125]], [[0.01, 0.02], [0.03, 0.05]])
MEAN, VARIANCE = 0.3, 0.25


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


class Asked(Denoiser):
    """The exact denoiser, which remembers the times that it was asked about."""

    def __init__(self, schedule, distribution):
        super().__init__(Oracle(distribution, V()), schedule, V())
        self.times = []

    def forward(self, x, t, at=None):
        self.times.append(float(t[0]))
        return super().forward(x, t, at)


def denoiser(schedule, distribution):
    return Denoiser(Oracle(distribution, V()), schedule, V())


def normal(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def exact(schedule, x, t, s):
    """The flow of N(MEAN, VARIANCE) from t to s keeps the place in units of the standard deviation."""
    (alpha_t, sigma_t, _), (alpha_s, sigma_s, _) = (schedule.marginal(torch.as_tensor(u).double()) for u in (t, s))
    scale = ((alpha_s**2 * VARIANCE + sigma_s**2) / (alpha_t**2 * VARIANCE + sigma_t**2)).sqrt()
    return alpha_s * MEAN + scale * (x - alpha_t * MEAN)


@pytest.mark.parametrize("up", [False, True], ids=["to images", "to codes"])
@pytest.mark.parametrize("schedule", every("schedule"))
def test_gaussian_data_flows_as_in_closed_form(schedule, up):
    denoise, sampler = Asked(schedule, Gaussian([MEAN], VARIANCE)), ODE(False, 1e-6, 1e-6)
    times = sampler.times(schedule).flip(0) if up else sampler.times(schedule)
    x = normal(0, 20, 1) if up else schedule.prior_std * normal(0, 20, 1)
    found = sampler.travel(Walk(denoise, schedule, None, None), x, times, lambda: x)
    wanted = exact(schedule, x, times[0], times[1])
    torch.testing.assert_close(found, wanted, rtol=0, atol=3e-5 * float(wanted.abs().max()))
    assert schedule.t_min <= min(denoise.times)
    assert max(denoise.times) <= 1


def test_a_mixture_flows_as_many_steps_of_heun_say():
    schedule, x = option("schedule", "flow"), normal(0, 200, 2)
    denoise = denoiser(schedule, MIXTURE)
    reference = Heun(Uniform(), 500, False, 0.0, 0.0, math.inf, 1.0).sample(denoise, schedule, lambda: x)
    error = []
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = ODE(False, tolerance, tolerance).sample(denoise, schedule, lambda: x)
        error.append(float((found - reference).square().mean().sqrt()))
    assert error[0] > 10 * error[1]
    assert error[1] > 10 * error[2]
    assert error[2] < 3e-5


@pytest.mark.parametrize("schedule", every("schedule"))
def test_it_goes_from_one_to_t_min_and_counts_its_calls_on_the_way(schedule):
    sampler = option("sampler", "ode")
    assert sampler.times(schedule).tolist() == [1.0, schedule.t_min]
    assert sampler.calls(schedule) is None
    assert sampler.deterministic
    denoise, states = Asked(schedule, MIXTURE), []
    sampler.sample(denoise, schedule, lambda: normal(0, 10, 2), states.append)
    assert states[-1].calls == len(denoise.times)
    assert 30 < len(denoise.times) < 150


def test_what_the_watcher_sees_lies_on_the_way():
    schedule = option("schedule", "vp")
    states = ODE(False, 1e-8, 1e-8).trajectory(
        denoiser(schedule, Gaussian([MEAN], VARIANCE)), schedule, lambda: normal(0, 20, 1)
    )
    assert len(states) > 10
    shares = [state.share for state in states]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[-2] == pytest.approx(1)
    assert shares[0] < 0.1
    times = [state.t for state in states[:-1]]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(schedule.t_min)
    assert states[-1].t is None
    for state in states[:-1]:
        torch.testing.assert_close(state.x, exact(schedule, normal(0, 20, 1), 1.0, state.t), rtol=0, atol=1e-6)


def test_company_moves_an_image_within_the_tolerance_only():
    schedule, x = option("schedule", "vp"), normal(0, 20, 2)
    sampler, denoise = option("sampler", "ode"), denoiser(schedule, MIXTURE)
    together = sampler.sample(denoise, schedule, lambda: x)[:1]
    alone = sampler.sample(denoise, schedule, lambda: x[:1])
    assert not torch.equal(together, alone)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["vp", "flow", "karras", "cosine"])
def test_single_precision_changes_little(name):
    schedule = option("schedule", name)
    sampler, denoise = option("sampler", "ode"), denoiser(schedule, MIXTURE)
    wide, narrow = (
        sampler.sample(denoise, schedule, lambda x=x: x) for x in (normal(0, 50, 2), normal(0, 50, 2).float())
    )
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=2e-3)


def test_clipping_bounds_what_comes_out():
    schedule = option("schedule", "vp")
    wide = Gaussian([0.0], 4.0)
    free, clipped = (
        ODE(clip, 1e-4, 1e-4).sample(denoiser(schedule, wide), schedule, lambda: normal(0, 50, 1))
        for clip in (False, True)
    )
    assert free.abs().max() > 2
    assert clipped.abs().max() <= 1


@pytest.mark.parametrize("value", [0.0, -1e-5, 1.0, math.nan])
@pytest.mark.parametrize("field", ["rtol", "atol"])
def test_tolerances_that_no_solver_keeps_are_refused(field, value):
    with pytest.raises(ValueError, match=rf"^sampler\.{field}: {value}; "):
        ODE(False, **{"rtol": 1e-5, "atol": 1e-5, field: value})
