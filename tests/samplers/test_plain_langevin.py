import math

import pytest
import torch

from difflab.models import Mixture, Oracle
from difflab.prediction import Denoiser, Eps
from difflab.samplers import PlainLangevin
from difflab.schedules import Geometric, Linear, Marginal
from tests.conftest import gaussian_denoiser, option

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

LINEAR = Linear(1000, beta_first=1e-4, beta_last=0.02)
LADDER = Geometric(0.5, 8.0, 5)


def plain(steps, step_size, sigma=None, start=None, denoise=False, least_variance=0.0):
    return PlainLangevin(False, steps, step_size, sigma, start, denoise, least_variance)


def noise_of(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


def test_one_update_is_that_of_the_paper():
    """x + eps/2 score + sqrt(eps) z at the earliest level, from the prior; then, where it is asked for, denoising."""
    mixture = Mixture([0.2, 0.8], [[-1.0, 0.3], [1.0, 0.5]], [0.1, 0.2])
    denoise = Denoiser(Oracle(mixture, Eps()), LADDER, Eps())
    at = Marginal(*(torch.full((7,), c, dtype=torch.float64) for c in (1.0, 0.5, -2 * math.log(0.5))))
    eps, draw = 0.03, noise_of(7, 2)
    x = 8.0 * draw()
    for _ in range(4):
        x = x + eps / 2 * mixture.score(x, at) + eps**0.5 * draw()
    torch.testing.assert_close(plain(4, eps).sample(denoise, LADDER, noise_of(7, 2)), x, rtol=1e-10, atol=1e-10)
    x = x + 0.5**2 * mixture.score(x, at)
    found = plain(4, eps, denoise=True).sample(denoise, LADDER, noise_of(7, 2))
    torch.testing.assert_close(found, x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("schedule", [LINEAR, Geometric(0.01, 50.0, None)], ids=["linear", "geometric"])
def test_it_settles_where_the_recursion_does(schedule):
    """On N(0, sd^2) at level s: variance eps/(1 - q^2), q = 1 - eps/(2 (s^2 + sd^2)), of x/alpha; exact, for linear."""
    sampler = plain(400, 0.2, sigma=0.6, start=3.0)
    unit = iter(torch.eye(sampler.calls(schedule) + 1, dtype=torch.float64)[:, :, None])
    x = sampler.sample(gaussian_denoiser(schedule, 0.0, 0.8), schedule, lambda: next(unit))
    alpha, sigma, _ = schedule.marginal(sampler.times(schedule))
    assert float(sigma / alpha) == pytest.approx(0.6, rel=1e-3)
    variance = float(x.square().sum() / alpha**2)
    assert variance == pytest.approx(0.2 / (1 - (1 - 0.2 / (2 * (0.36 + 0.64))) ** 2), rel=1e-3)


def test_the_start_is_as_wide_as_asked():
    zero = iter([torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)])
    x = plain(1, 0.1, start=0.25).sample(gaussian_denoiser(LADDER, 0.0, 1.0), LADDER, lambda: next(zero))
    assert float(x) == pytest.approx(0.25 * (1 - 0.05 / 1.25))


def test_modes_keep_the_share_that_the_start_gave_them():
    """0.2 N(-(5,5), I) + 0.8 N((5,5), I): from a symmetric start about half of each (Song & Ermon, 2019, 3.2.2)."""
    mixture = Mixture([0.2, 0.8], [[-5.0, -5.0], [5.0, 5.0]], [1.0, 1.0])
    schedule = Geometric(0.01, 20.0, None)
    denoise = Denoiser(Oracle(mixture, Eps()), schedule, Eps())
    x = plain(150, 0.1, start=8.0, least_variance=1.0).sample(denoise, schedule, noise_of(2000, 2))
    assert 0.44 < float((x.sum(1) < 0).double().mean()) < 0.53
    assert (x.sum(1).abs() > 4).double().mean() > 0.9


def test_a_watcher_sees_every_step():
    states = plain(6, 0.1, denoise=True).trajectory(gaussian_denoiser(LADDER, 0.0, 1.0), LADDER, noise_of(3, 2))
    assert [state.t for state in states] == [0.0] * 6 + [None]
    assert [state.calls for state in states] == [1, 2, 3, 4, 5, 6, 7]


def test_steps_that_diverge_are_refused():
    """The distance from the mean is multiplied by 1 - eps/(2 (s^2 + sd^2)): it grows from eps = 4 (s^2 + sd^2) on."""
    most = 4 * (0.25 + 0.64)
    with pytest.raises(ValueError, match=r"sampler\.step_size: 3\.6; allowed are numbers below .* = 3\.56, .* diverge"):
        plain(5, 3.6, least_variance=0.64).calls(LADDER)
    assert plain(5, 3.5, least_variance=0.64, denoise=True).calls(LADDER) == 6
    for eps, grows in ((0.99 * most, False), (1.01 * most, True)):
        start = torch.full((1, 1), 2.0, dtype=torch.float64)
        x = plain(300, eps, least_variance=9.0).sample(
            gaussian_denoiser(LADDER, 0.0, 0.8), LADDER, lambda: torch.zeros(1, 1, dtype=torch.float64), start=start
        )
        assert (float(x.abs()) > 2) == grows


def test_the_least_variance_of_a_mode_decides():
    """Two narrow modes far apart: their spread together says nothing of where steps diverge."""
    law = Mixture([0.2, 0.8], [[-5.0, -5.0], [5.0, 5.0]], [1.0, 1.0])
    assert law.least_variance == 1.0
    schedule = Geometric(0.01, 20.0, None)
    denoise = Denoiser(Oracle(law, Eps()), schedule, Eps())
    with pytest.raises(ValueError, match=r"sampler\.step_size: 4\.5; allowed are numbers below .* = 4\.0004"):
        plain(5, 4.5, least_variance=law.least_variance).calls(schedule)
    calm, wild = (
        plain(200, eps, start=8.0, least_variance=9.0).sample(denoise, schedule, noise_of(100, 2)) for eps in (3.0, 4.5)
    )
    assert calm.abs().max() < 50 < wild.nan_to_num(1e9, 1e9, -1e9).abs().max()


@pytest.mark.parametrize("change", ["sigma=9.0", "sigma=0.4"])
def test_levels_that_the_schedule_does_not_have_are_refused(change):
    with pytest.raises(ValueError, match=r"sampler\.sigma: .*; allowed are levels from 0\.5 to 8"):
        option("sampler", "plain_langevin", f"sampler.{change}").calls(LADDER)


@pytest.mark.parametrize("change", ["steps=0", "steps=null", "step_size=0.0", "start=-1.0"])
def test_what_it_needs(change):
    field, value = change.split("=")
    value = value.replace("null", "None")
    with pytest.raises(ValueError, match=rf"sampler\.{field}: {value}; allowed are"):
        option("sampler", "plain_langevin", f"sampler.{change}")
