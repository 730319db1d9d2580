import math

import pytest
import torch

from difflab.likelihood import Bound, ContinuousBound, discretised_nats
from difflab.losses import Noised, Simple, Vlb
from difflab.prediction import Denoiser, Eps
from difflab.process import Forward, Posterior, diffuse
from difflab.process import Learned as LearnedVariance
from difflab.schedules import Learned
from tests.conftest import Formula, every, gaussian_denoiser, option, options

CHAINS = [name for name in options("schedule") if option("schedule", name).T is not None]


@pytest.fixture(params=CHAINS)
def chain(request):
    """Every step of one image: a denoiser that is wrong, with outputs for a variance, and the noised examples."""
    schedule = option("schedule", request.param, "schedule.T=100")
    draw = torch.Generator().manual_seed(0)
    x0 = (torch.randint(17, (1, 12), generator=draw).double() / 8 - 1).expand(schedule.T, -1)
    eps, output, extra = torch.randn(3, schedule.T, 12, dtype=torch.float64, generator=draw)
    t = torch.arange(1, schedule.T + 1, dtype=torch.float64) / schedule.T
    denoise = Denoiser(Formula(lambda x, t: torch.cat([output, extra], dim=1)), schedule, Eps())
    return schedule, denoise, Noised(x0, eps, t, diffuse(schedule, x0, eps, t))


@pytest.mark.parametrize("name", options("variance"))
def test_its_mean_over_the_steps_is_the_bound_without_the_prior(chain, name):
    """One call for each k, every image's own step found from its time."""
    schedule, denoise, noised = chain
    variance = option("variance", name)
    noise = iter(torch.randn(50, 64, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    variance.measure(gaussian_denoiser(schedule, 0.1, 0.5), schedule, noised.x0[:64], lambda: next(noise))
    mean = Vlb(variance, levels=17)(denoise, noised, schedule).mean()
    bound = Bound(schedule, variance, clip=False, levels=17)
    k = torch.arange(1, schedule.T + 1)
    prediction = denoise(noised.x_t, noised.t)
    assert float(mean) == pytest.approx(float(bound.terms(noised.x0, prediction.x0, k, prediction.extra).sum()))


def test_with_posterior_variance_it_is_a_weight_on_simple(chain):
    """beta_k^2 / (2 beta~_k (1 - beta_k) (1 - abar_k)) for k >= 2 (Ho et al., 2020, Eq. 12)."""
    schedule, denoise, noised = chain
    abar = schedule.marginal(noised.t).alpha ** 2
    before, after = abar[:-1], abar[1:]
    beta = 1 - after / before
    weight = beta**2 / (2 * (1 - before) / (1 - after) * beta * (1 - beta) * (1 - after))
    expected = schedule.T * weight * Simple()(denoise, noised, schedule)[1:] / math.log(2)
    found = Vlb(Posterior(), levels=17)(denoise, noised, schedule)
    torch.testing.assert_close(found[1:], expected, rtol=1e-9, atol=0)


def test_with_forward_variance_it_is_another_weight_and_a_price(chain):
    """beta_k / (2 (1 - beta_k) (1 - abar_k)) on the error, and what beta costs a perfect x0_hat."""
    schedule, denoise, noised = chain
    loss = Vlb(Forward(), levels=17)
    abar = schedule.marginal(noised.t).alpha ** 2
    before, after = abar[:-1], abar[1:]
    beta = 1 - after / before
    weight = schedule.T * beta / (2 * (1 - beta) * (1 - after)) / math.log(2)
    ratio = (1 - before) / (1 - after)
    price = schedule.T * (ratio - 1 - ratio.log()) / 2 / math.log(2)
    expected = price + weight * Simple()(denoise, noised, schedule)[1:]
    torch.testing.assert_close(loss(denoise, noised, schedule)[1:], expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(loss.weight(denoise, noised.t)[1:], weight, rtol=1e-9, atol=0)


def test_the_first_step_is_the_decoder(chain):
    schedule, denoise, noised = chain
    first = Noised(*(part[:1] for part in noised[:4]))
    abar = schedule.marginal(noised.t[:2]).alpha ** 2
    std = ((1 - abar[0]) / (1 - abar[1]) * (1 - abar[1] / abar[0])).sqrt()
    x0_hat = (first.x_t - (1 - abar[0]).sqrt() * denoise(noised.x_t, noised.t).eps[:1]) / abar[0].sqrt()
    nats = discretised_nats(first.x0, x0_hat, std, 17)
    found = Vlb(Posterior(), levels=17)(denoise, noised, schedule)[:1]
    torch.testing.assert_close(found, schedule.T * nats / math.log(2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("variance", [Posterior(), Forward(), LearnedVariance()])
def test_its_weight_at_the_first_step_is_that_of_a_gaussian_decoder_and_bounded(chain, variance):
    schedule, denoise, noised = chain
    weight = Vlb(variance, levels=17).weight(denoise, noised.t)
    alpha, sigma, log_snr = schedule.marginal(noised.t[:2])
    decoder_var = -torch.expm1(log_snr[1] - log_snr[0]) * sigma[0] ** 2
    gaussian = schedule.T * (sigma[0] / alpha[0]) ** 2 / (2 * decoder_var) / math.log(2)
    torch.testing.assert_close(weight[0], torch.minimum(gaussian, 4 * weight[1]), rtol=1e-9, atol=0)


def test_the_weight_of_a_learned_variance_is_that_of_the_posterior(chain):
    _, denoise, noised = chain
    learned, posterior = (Vlb(v, levels=17).weight(denoise, noised.t) for v in (LearnedVariance(), Posterior()))
    assert torch.equal(learned, posterior)


CONTINUOUS = [name for name in options("schedule") if name not in CHAINS]


def continuous(schedule, count=200):
    """Examples at even times, with a denoiser that is wrong."""
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (count, 6), generator=draw).double() / 8 - 1
    eps = torch.randn(count, 6, dtype=torch.float64, generator=draw)
    t = schedule.t_min + (1 - schedule.t_min) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return gaussian_denoiser(schedule, 0.1, 0.5), Noised(x0, eps, t, diffuse(schedule, x0, eps, t))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_without_steps_it_is_the_integrand_of_the_bound(name):
    schedule = option("schedule", name).requires_grad_(False)
    denoise, noised = continuous(schedule)
    error = (denoise(noised.x_t, noised.t).eps - noised.eps).square().mean(1)
    rate = -0.5 * schedule.slope(noised.t) * (1 - schedule.t_min) / math.log(2)
    found = Vlb(Posterior(), levels=17)(denoise, noised, schedule)
    torch.testing.assert_close(found, rate * error, rtol=1e-8, atol=0)


@pytest.fixture
def learned():
    schedule = option("schedule", "learned")
    assert isinstance(schedule, Learned)
    with torch.no_grad():  # away from where it starts
        schedule.bias += torch.linspace(-2, 2, len(schedule.bias), dtype=torch.float64)
    return schedule


def test_a_schedule_with_something_to_train_gets_the_terms_at_its_ends(learned):
    denoise, noised = continuous(learned)
    bound = ContinuousBound(learned, levels=17, clip=False)
    ends = bound.prior(noised.x0) + bound.reconstruction(noised.x0, noised.eps)
    whole = Vlb(Posterior(), levels=17)(denoise, noised, learned)
    learned.requires_grad_(False)
    inner = Vlb(Posterior(), levels=17)(denoise, noised, learned)
    torch.testing.assert_close(whole, inner + ends, rtol=1e-12, atol=0)
    assert (ends > 0).all()


def test_the_ends_are_trained_by_the_value_and_the_interior_by_the_variance(learned):
    loss = Vlb(Posterior(), levels=17)
    ends = [learned.log_snr_min, learned.raw_max]
    interior = [learned.raw_steepness, learned.bias, learned.raw_height]

    def gradients(of, parameters, scaled):
        denoise, noised = continuous(learned)
        value = loss(denoise, noised, learned)
        torch.testing.assert_close(learned.interior_scale, 2 * value.detach())
        if not scaled:
            learned.interior_scale = None
        return torch.autograd.grad(of(value), parameters)

    for parameters, of in ((ends, torch.mean), (interior, lambda value: value.square().mean())):
        found = gradients(torch.mean, parameters, scaled=True)
        expected = gradients(of, parameters, scaled=False)
        for one, other in zip(found, expected, strict=True):
            assert other.abs().max() > 1e-6
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_its_weight_needs_no_gradient(name):
    schedule = option("schedule", name)
    denoise, noised = continuous(schedule, 5)
    assert not Vlb(Posterior(), levels=17).weight(denoise, noised.t).requires_grad


def test_every_schedule_is_a_chain_or_continuous():
    assert len(every("schedule")) == len(CHAINS) + len(CONTINUOUS)
    assert len(CHAINS) >= 4
    assert len(CONTINUOUS) >= 6
