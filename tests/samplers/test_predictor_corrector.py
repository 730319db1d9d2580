from itertools import pairwise

import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.process import Forward, Posterior
from difflab.samplers.ancestral import Ancestral
from difflab.samplers.grid import Explicit, Uniform
from difflab.samplers.predictor_corrector import PredictorCorrector
from difflab.schedules import VP, Flow, Geometric, Linear
from tests.conftest import Formula, gaussian_denoiser, option

SCHEDULES = {
    "linear": Linear(1000, beta_first=1e-4, beta_last=0.02),
    "vp": VP(0.1, 20.0, 1e-3),
    "geometric": Geometric(0.01, 50.0, None),
    "flow": Flow(1e-3),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def noise_of(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


def variances(sampler, schedule, std):
    """Of every state relative to that of its time, for N(0, std^2) and a start with its own: exactly."""
    times = sampler.times(schedule)
    at = schedule.marginal(times)
    wanted = at.alpha**2 * std**2 + at.sigma**2
    draws = sampler.calls(schedule)
    unit = iter(torch.eye(draws, dtype=torch.float64)[1:, :, None])
    start = wanted[0].sqrt() * torch.eye(draws, dtype=torch.float64)[:, :1]
    states = []
    denoise = gaussian_denoiser(schedule, 0.0, std)
    sampler.sample(denoise, schedule, lambda: next(unit), states.append, start=start)
    return [float(s.x.square().sum() / w) for s, w in zip(states[:-1], wanted[1:], strict=True)]


@schedules
def test_without_corrections_it_is_ancestral(schedule):
    denoise = gaussian_denoiser(schedule, 0.3, 0.5)
    ours = PredictorCorrector(Uniform(), 10, True, Posterior(), 0, 0.16).sample(denoise, schedule, noise_of(4, 3))
    theirs = Ancestral(Uniform(), 10, True, Posterior()).sample(denoise, schedule, noise_of(4, 3))
    assert torch.equal(ours, theirs)


def first_state(sampler, denoise, schedule, start, noise):
    """After one step, not yet the images."""
    states = []
    sampler.sample(denoise, schedule, noise, states.append, start=start)
    return states[0].x


@schedules
def test_a_step_is_a_reverse_step_and_then_langevin_steps_at_the_new_time(schedule):
    """a = 2 (snr |z|/|score|)^2 with |z| = sqrt(D) and |score| = sqrt(D)/sigma."""
    denoise = Denoiser(Formula(lambda x, t: 0.5 * torch.sin(x + t[:, None])), schedule, X0())
    times, draw = Uniform()(schedule, 4), noise_of(5, 3)
    x = schedule.prior_std * draw()
    for t, s in pairwise(times):
        predictor = Ancestral(Explicit([float(t), float(s)]), None, False, Forward())
        x = first_state(predictor, denoise, schedule, x, draw)
        sigma = schedule.marginal(s).sigma
        for _ in range(2):
            a = 2 * (0.2 * sigma) ** 2
            x = x + a * denoise(x, s.expand(5)).score + (2 * a).sqrt() * draw()
    x = denoise(x, times[-1].expand(5)).x0
    sampler = PredictorCorrector(Uniform(), 4, False, Forward(), 2, 0.2)
    torch.testing.assert_close(sampler.sample(denoise, schedule, noise_of(5, 3)), x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("corrections", [1, 3])
def test_corrections_of_the_exact_law_leave_it_but_for_their_step(corrections):
    """On standard normal data the reverse step is exact, and one correction takes a variance v to (1-a)^2 v + 2 a."""
    schedule, snr = SCHEDULES["linear"], 0.3
    sampler = PredictorCorrector(Uniform(), 10, False, Forward(), corrections, snr)
    sigma = schedule.marginal(sampler.times(schedule)).sigma[1:]
    alpha = schedule.marginal(sampler.times(schedule)).alpha
    keep = (alpha[:-1] / alpha[1:]) ** 2  # on this data x_s = alpha_ts x_t + noise: what a step keeps of an excess
    v = 1.0
    for found, s, of_excess in zip(variances(sampler, schedule, 1.0), sigma.tolist(), keep.tolist(), strict=True):
        v = 1 + of_excess * (v - 1)
        for _ in range(corrections):
            a = 2 * (snr * s) ** 2
            v = (1 - a) ** 2 * v + 2 * a
        assert found == pytest.approx(v, rel=1e-9)


@schedules
def test_corrections_take_away_from_the_error_of_coarse_steps(schedule):
    def error(corrections):
        sampler = PredictorCorrector(Uniform(), 20, False, Posterior(), corrections, 0.16)
        return sum(abs(v - 1) for v in variances(sampler, schedule, 0.5))

    assert error(8) < error(2) < error(0)
    assert error(8) < 0.8 * error(0)


def test_a_sample_does_not_depend_on_those_beside_it():
    schedule = SCHEDULES["vp"]
    denoise = gaussian_denoiser(schedule, 0.3, 0.5)
    sampler = PredictorCorrector(Uniform(), 10, False, Posterior(), 1, 0.16)
    draws = [noise_of(4, 3, seed=s)() for s in range(40)]
    all_of_them, first = iter(draws), iter(d[:1] for d in draws)
    together = sampler.sample(denoise, schedule, lambda: next(all_of_them))
    alone = sampler.sample(denoise, schedule, lambda: next(first))
    torch.testing.assert_close(together[:1], alone, rtol=1e-12, atol=1e-12)


def test_calls():
    assert option("sampler", "predictor_corrector").calls(SCHEDULES["vp"]) == 99 * 2 + 1
    assert PredictorCorrector(Uniform(), 10, True, Posterior(), 3, 0.1).calls(SCHEDULES["vp"]) == 9 * 4 + 1


@pytest.mark.parametrize("snr", [0.0, 1.0, -0.1, float("nan")])
def test_an_snr_that_diverges_or_does_nothing_is_refused(snr):
    with pytest.raises(ValueError, match=rf"sampler\.snr: {snr}; "):
        PredictorCorrector(Uniform(), 10, True, Posterior(), 1, snr)


def test_a_negative_number_of_corrections_is_refused():
    with pytest.raises(ValueError, match=r"sampler\.corrections: -1; "):
        PredictorCorrector(Uniform(), 10, True, Posterior(), -1, 0.16)
