import math
from itertools import pairwise

import numpy
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from difflab.likelihood import Bound, ContinuousBound
from difflab.prediction import Denoiser
from difflab.process import Posterior, diffuse
from difflab.schedules import VP, Flow
from difflab.schedules.chain import Chain
from tests.conftest import Formula, every, option, options

SCHEDULES = [schedule for schedule in every("schedule") if schedule.values[0].T is None]
STD = 0.6


def error(schedule, t):
    """The standard deviation of x_0 given x_t, for data N(0, STD^2): what the exact denoiser is off by."""
    alpha, sigma, _ = schedule.marginal(t)
    return STD * sigma / (alpha**2 * STD**2 + sigma**2).sqrt()


def bits_lost(schedule):
    """The integral of the bound for that error, in closed form: 1/2 log2 of the ratio of 1 + STD^2 SNR at the ends."""
    ends = torch.tensor([schedule.t_min, 1.0], dtype=torch.float64)
    alpha, sigma, _ = schedule.marginal(ends)
    capacity = 0.5 * torch.log2(1 + STD**2 * (alpha / sigma) ** 2)
    return float(capacity[0] - capacity[1])


def nodes(schedule, count):
    """Times and weights of a mean over [t_min, 1] by Gauss and Legendre."""
    place, weight = (torch.from_numpy(part) for part in numpy.polynomial.legendre.leggauss(count))
    return schedule.t_min + (1 - schedule.t_min) * (place + 1) / 2, weight / 2


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_its_mean_over_uniform_times_is_the_information_of_a_gaussian(schedule):
    schedule.requires_grad_(False)
    t, weight = nodes(schedule, 500)
    x0 = torch.zeros(len(t), 1, dtype=torch.float64)
    density = ContinuousBound(schedule, 17, clip=False).density(x0, error(schedule, t)[:, None], t)
    assert float(weight @ density) == pytest.approx(bits_lost(schedule), rel=1e-6)


def test_the_bound_of_chains_converges_to_it_on_a_fixed_interval():
    """The gap halves with twice the steps."""
    schedule = VP(0.1, 20.0, t_min=0.05)
    gaps = []
    for T in (200, 400, 800, 1600):
        k = torch.arange(1, T + 1)
        t = k.double() / T
        bound = Bound(Chain(2 * schedule.log_alpha(t)), Posterior(), clip=False, levels=17)
        inside = k > T // 20  # steps from t_{k-1} >= t_min
        x0_hat = error(schedule, t[inside])[:, None]
        gaps.append(float(bound.terms(torch.zeros_like(x0_hat), x0_hat, k[inside]).sum()) - bits_lost(schedule))
    assert gaps[-1] < 0.01 * bits_lost(schedule)
    for coarse, fine in pairwise(gaps):
        assert fine / coarse == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("prediction", options("prediction"))
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_in_eps_it_is_half_the_slope_of_log_snr_times_the_error(schedule, prediction):
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 50, 2, 3, dtype=torch.float64, generator=draw)
    t = schedule.t_min + (1 - schedule.t_min) * torch.linspace(0, 0.99, 50, dtype=torch.float64)
    denoise = Denoiser(Formula(lambda x, t: output), schedule, option("prediction", prediction, sigma_data=0.5))
    found = denoise(diffuse(schedule, x0, eps, t), t)
    nats = -0.5 * schedule.slope(t) * (found.eps - eps).square().flatten(1).mean(1) * (1 - schedule.t_min)
    density = ContinuousBound(schedule, 17, clip=False).density(x0, found.x0, t)
    torch.testing.assert_close(density, nats / math.log(2), rtol=1e-6, atol=0)


def test_it_is_finite_where_no_signal_is_left():
    t = torch.tensor([1 - 1e-9, 1.0], dtype=torch.float64)
    x0_hat = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    density = ContinuousBound(Flow(1e-3), 17, clip=False).density(torch.zeros(2, 1).double(), x0_hat, t)
    density.sum().backward()
    assert density.isfinite().all()
    assert x0_hat.grad.isfinite().all()
    assert float(density[1].detach()) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_prior_term_is_a_divergence(schedule):
    x0 = torch.rand(20, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    alpha, sigma, _ = schedule.marginal(torch.ones((), dtype=torch.float64))
    nats = kl_divergence(Normal(alpha * x0, sigma), Normal(torch.zeros(()).double(), schedule.prior_std))
    found = ContinuousBound(schedule, 17, clip=False).prior(x0)
    torch.testing.assert_close(found, nats.flatten(1).mean(1) / math.log(2), rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_reconstruction_is_the_mass_of_the_level_given_the_first_noisy_state(schedule):
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(256, (20, 2, 3), generator=draw).double() / 127.5 - 1
    eps = torch.randn(20, 2, 3, dtype=torch.float64, generator=draw)
    t = torch.full((20,), schedule.t_min, dtype=torch.float64)
    alpha, sigma = (c[:, None, None] for c in schedule.marginal(t)[:2])
    model = Normal(diffuse(schedule, x0, eps, t) / alpha, sigma / alpha)
    lower = torch.where(x0 < -0.999, -torch.inf, x0 - 1 / 255)
    upper = torch.where(x0 > 0.999, torch.inf, x0 + 1 / 255)
    bits = -(model.cdf(upper) - model.cdf(lower)).log2().flatten(1).mean(1)
    found = ContinuousBound(schedule, 256, clip=False).reconstruction(x0, eps)
    torch.testing.assert_close(found, bits, rtol=1e-6, atol=1e-12)


def test_the_ends_of_a_learned_schedule_get_finite_gradients():
    schedule = option("schedule", "learned")
    draw = torch.Generator().manual_seed(0)
    x0, eps = torch.randint(256, (20, 6), generator=draw) / 127.5 - 1, torch.randn(20, 6, generator=draw)
    bound = ContinuousBound(schedule, 256, clip=False)
    for term, end in ((bound.reconstruction(x0, eps), schedule.raw_max), (bound.prior(x0), schedule.log_snr_min)):
        (gradient,) = torch.autograd.grad(term.mean(), end)
        assert gradient.isfinite()
        assert gradient != 0


def test_clipping_is_that_of_x0_hat():
    schedule = VP(0.1, 20.0, t_min=1e-3)
    x0 = torch.zeros(50, 4, dtype=torch.float64)
    x0_hat = 2 * torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0.1, 1, 50, dtype=torch.float64)
    free, clipped = (ContinuousBound(schedule, 17, clip) for clip in (False, True))
    assert torch.equal(clipped.density(x0, x0_hat, t), free.density(x0, x0_hat.clamp(-1, 1), t))
    assert (clipped.density(x0, x0_hat, t) < free.density(x0, x0_hat, t)).any()
