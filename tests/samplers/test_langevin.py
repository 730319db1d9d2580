import math

import pytest
import torch

from difflab.models import Mixture, Oracle
from difflab.prediction import X0, Denoiser, Eps
from difflab.samplers.grid import Explicit, LogSNR, Uniform
from difflab.samplers.langevin import Langevin
from difflab.schedules import Flow, Geometric, Linear, Marginal, Schedule, ZeroTerminalSnr
from tests.conftest import Formula, gaussian_denoiser, option

LINEAR = Linear(1000, beta_first=1e-4, beta_last=0.02)


def annealed(inner, step_size, *, grid=None, steps=None, clip=False, calls=None, denoise=True):
    return Langevin(grid or Uniform(), steps, clip, inner, step_size, calls, denoise)


def noise_of(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


def variances(sampler, schedule, std, start):
    """Of every state, for data N(0, std^2) and a start N(0, start^2): exactly, for the sampler is linear."""
    draws = sampler.calls(schedule) + (not sampler.denoise)
    unit = iter(torch.eye(draws, dtype=torch.float64)[1:, :, None])
    states = []
    first = start * torch.eye(draws, dtype=torch.float64)[:, :1]
    denoise = gaussian_denoiser(schedule, 0.0, std)
    sampler.sample(denoise, schedule, lambda: next(unit), states.append, start=first)
    return [float(state.x.square().sum()) for state in states]


def test_one_update_is_that_of_the_paper():
    schedule = Geometric(0.5, 3.0, 2)
    mixture = Mixture([0.2, 0.8], [[-1.0, 0.3], [1.0, 0.5]], [0.1, 0.2])
    denoise = Denoiser(Oracle(mixture, Eps()), schedule, Eps())
    x = 3 * noise_of(7, 2)()
    eps, draw = 0.03, noise_of(7, 2)
    draw()
    for sigma in (3.0, 0.5):
        at = Marginal(*(torch.full((7,), c, dtype=torch.float64) for c in (1.0, sigma, -2 * math.log(sigma))))
        for _ in range(3):
            a = eps * (sigma / 0.5) ** 2
            x = x + a * mixture.score(x, at) + (2 * a) ** 0.5 * draw()
    x = x + 0.5**2 * mixture.score(x, at)
    sampler = annealed(3, eps / 0.5**2)
    torch.testing.assert_close(sampler.sample(denoise, schedule, noise_of(7, 2)), x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("inner", [1, 5])
def test_the_noise_of_a_level_is_that_of_proposition_3(inner):
    """Song & Ermon (2020): on a single point the variance over s_i^2 is q^(2T) (g^2 v - c) + c."""
    schedule, step_size = Geometric(0.01, 50.0, 40), 0.3
    ratio, q = (50 / 0.01) ** (1 / 39), 1 - 0.3
    c = 2 * step_size / (1 - q**2)
    found = variances(annealed(inner, step_size), schedule, 0.0, 50.0)
    v = 1 / ratio**2
    wanted = [v := q ** (2 * inner) * (ratio**2 * v - c) + c for _ in range(40)]
    sigma = schedule.marginal(Uniform()(schedule, 40)).sigma.tolist()
    # states: at the start of each level but the first, after the last, and the images, which are the point
    levels = [*sigma[:-1], sigma[-1]]
    assert found[:-1] == pytest.approx([s**2 * v for s, v in zip(levels, wanted, strict=True)], rel=1e-9)
    assert found[-1] == pytest.approx(0, abs=1e-20)


def test_the_published_step_size_is_the_best_for_its_levels():
    """sigma 50 -> 0.01 in 232 levels of 5 steps: eps = 6.2e-6 keeps the variance closest to its level's, at 1.0555."""
    schedule, ratio = Geometric(0.01, 50.0, 232), 5000 ** (1 / 231)
    one_level = Explicit([0.0])

    def kept(eps):
        sampler = annealed(5, eps / 0.01**2, grid=one_level)
        return variances(sampler, schedule, 0.0, ratio * 0.01)[0] / 0.01**2

    assert ratio == pytest.approx(1.037559, abs=5e-7)
    assert kept(6.184e-6) == pytest.approx(1.0555, abs=5e-5)
    assert kept(6.184e-6) < min(kept(6.1e-6), kept(6.3e-6))
    assert option("sampler", "langevin").step_size == pytest.approx(6.2e-6 / 0.01**2)


def test_without_the_last_denoising_the_noise_of_the_last_level_is_left():
    """Langevin steps a on N(0, sd^2) with noise of s settle at variance 2a/(1 - q^2), q = 1 - a/(sd^2 + s^2)."""
    schedule, a = Geometric(1.0, 20.0, 5), 0.02
    settled = 2 * a / (1 - (1 - a / 2) ** 2)
    *_, noisy, images = variances(annealed(300, a), schedule, 1.0, 20.0)
    assert noisy == pytest.approx(settled, rel=1e-2)
    assert images == pytest.approx(noisy / 4, rel=1e-12)
    sampler = annealed(300, a, denoise=False)
    assert variances(sampler, schedule, 1.0, 20.0)[-1] == pytest.approx(noisy, rel=1e-12)
    assert sampler.calls(schedule) == 5 * 300 == annealed(300, a).calls(schedule) - 1


def test_samples_left_noisy_are_wider_by_the_last_level():
    """Of 4,000 samples of N(0, 1) at s = 0.7, settled as above; the standard error of their variance is 2.2%."""
    schedule, width = Geometric(0.7, 6.0, 4), 1.49
    settled = width * 2 / (2 - 0.2 * 0.49 / width)
    for denoise, wanted in ((False, settled), (True, settled / width**2)):
        x = annealed(60, 0.2, denoise=denoise).sample(
            gaussian_denoiser(schedule, 0.0, 1.0), schedule, noise_of(4000, 1)
        )
        assert float(x.var()) == pytest.approx(wanted, rel=0.09)


@pytest.mark.parametrize("inner", [1, 5])
def test_a_step_size_of_null_is_technique_4_for_the_ladder(inner):
    """Between two levels of its ratio the noise around a point is left as close to the level's own as can be."""
    schedule = Geometric(0.02, 9.6, 22)
    ratio = 480 ** (1 / 21)
    sampler = annealed(inner, None)
    _, a = sampler.plan(schedule)

    def left(size):
        return variances(annealed(inner, size, grid=Explicit([0.0])), schedule, 0.0, ratio * 0.02)[0] / 0.02**2

    assert left(a) < min(left(0.99 * a), left(1.01 * a))
    assert variances(sampler, schedule, 0.0, 9.6) == variances(annealed(inner, a), schedule, 0.0, 9.6)
    on_grid = annealed(inner, None, grid=LogSNR(-10.0), steps=22)
    assert on_grid.plan(Geometric(0.02, 9.6, None))[1] == pytest.approx(a, rel=1e-9)
    assert on_grid.plan(LINEAR)[1] > 0


@pytest.mark.parametrize(
    ("grid", "steps", "schedule"), [(None, 10, LINEAR), (Explicit([0.0]), None, Geometric(1, 2, 9))]
)
def test_levels_without_a_common_ratio_have_no_technique_4(grid, steps, schedule):
    with pytest.raises(ValueError, match=r"sampler\.step_size: null; Technique 4 .* schedule=geometric"):
        annealed(5, None, grid=grid, steps=steps).calls(schedule)


def test_as_many_steps_as_a_number_of_calls_allows():
    schedule = Geometric(0.01, 5.0, 10)
    for calls, denoise, inner in ((1001, True, 100), (1000, True, 99), (1000, False, 100), (11, True, 1)):
        sampler = annealed(5, 0.1, calls=calls, denoise=denoise)
        assert sampler.plan(schedule) == (inner, 0.1)
        assert calls - 10 < sampler.calls(schedule) <= calls
    solved = annealed(5, None, calls=1001).plan(schedule)
    assert solved == annealed(100, None).plan(schedule)
    with pytest.raises(ValueError, match=r"sampler\.calls: 10; allowed are whole numbers from 11"):
        annealed(5, 0.1, calls=10).calls(schedule)


class Scaled(Schedule):
    """The noise of another schedule in x / alpha."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule, self.T, self.t_min = schedule, schedule.T, schedule.t_min
        self.prior_std = float(1 / schedule.marginal(torch.ones(1)).alpha)

    def marginal(self, t):
        alpha, sigma, log_snr = self.schedule.marginal(t)
        return Marginal(torch.ones_like(alpha), sigma / alpha, log_snr)

    def time(self, log_snr):
        return self.schedule.time(log_snr)


@pytest.mark.parametrize("clip", [False, True])
def test_on_any_schedule_it_is_that_of_the_noise_of_x_over_alpha(clip):
    def network_of(schedule):
        def x0_hat(x, t):
            alpha, _, log_snr = (c[:, None] for c in schedule.marginal(t))
            return 1.5 * torch.sin(x / alpha + log_snr)

        return Denoiser(Formula(x0_hat), schedule, X0())

    sampler = annealed(3, 0.1, steps=20, clip=clip)
    ours = sampler.sample(network_of(LINEAR), LINEAR, noise_of(5, 2))
    exploding = Scaled(LINEAR)
    theirs = sampler.sample(network_of(exploding), exploding, noise_of(5, 2))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def share_of_the_smaller_mode(levels, inner, step_size, n=4000):
    """Of the mixture 0.2 N(-(5,5), I) + 0.8 N((5,5), I) along the line between the modes: the other is independent."""
    schedule = Geometric(1.0, 20.0, levels)
    mode, bias = 50**0.5, math.log(4) / 2

    def eps(x, t):
        s = schedule.marginal(t[:1]).sigma
        return (s / (1 + s**2)).to(x) * (x - mode * torch.tanh(mode * x / (1 + s**2).to(x) + bias))

    draw = torch.Generator().manual_seed(0)
    grid = Explicit([0.0]) if levels is None else Uniform()
    x = annealed(inner, step_size, grid=grid).sample(
        Denoiser(Formula(eps), schedule, Eps()), schedule, lambda: torch.randn(n, 1, generator=draw)
    )
    assert (x.abs() > 2).double().mean() > 0.95
    return float((x < 0).double().mean())


@pytest.mark.slow
def test_enough_steps_at_each_level_find_the_weights_of_the_modes():
    """sigma 20 -> 1, L = 10, T = 400, eps = 0.1; 4,000 samples, standard error 0.006."""
    assert share_of_the_smaller_mode(10, 400, 0.1) == pytest.approx(0.202, abs=0.015)


def test_too_few_steps_at_each_level_are_biased_and_one_level_is_blind_to_the_weights():
    """Without noise that bridges the modes each keeps what the symmetric start gave it (Song & Ermon, 2019, 3.2.2)."""
    assert 0.22 < share_of_the_smaller_mode(10, 25, 0.1, n=2000) < 0.35
    assert 0.44 < share_of_the_smaller_mode(None, 200, 0.1, n=2000) < 0.53


def test_larger_steps_than_2_diverge_and_are_refused():
    """On a single point the distance from it is multiplied by 1 - step_size; a spread of the data only slows it."""
    for step_size in (0.0, 2.0, 3.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=rf"sampler\.step_size: {step_size}; allowed are numbers between 0 and 2"):
            annealed(5, step_size)
    schedule, sampler = Geometric(0.01, 50.0, 4), annealed(50, 1.9)
    assert max(variances(sampler, schedule, 0.0, 50.0)) < 1e6
    sampler.step_size = 2.1
    assert max(variances(sampler, schedule, 0.0, 50.0)) > 1e6


def test_no_inner_steps_are_refused():
    with pytest.raises(ValueError, match=r"sampler\.inner: 0; "):
        annealed(0, 0.1)


def test_times_without_signal_are_refused():
    for schedule in (Flow(1e-3), ZeroTerminalSnr(LINEAR)):
        with pytest.raises(ValueError, match=r"sampler: langevin .* at t = 1 alpha is 0"):
            annealed(5, 0.1, steps=10).times(schedule)
        assert len(annealed(5, 0.1, grid=Explicit([0.9, 0.5])).times(schedule)) == 2


def test_a_schedule_without_levels_needs_a_number_of_them():
    with pytest.raises(ValueError, match=r"sampler\.steps: null"):
        option("sampler", "langevin").times(Geometric(0.01, 50.0, None))
    assert option("sampler", "langevin").calls(Geometric(0.01, 50.0, 232)) == 232 * 5 + 1
