import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from difflab.likelihood import Bound, discretised_nats
from difflab.prediction import Denoiser, Eps
from difflab.process import Forward, Learned, Posterior, diffuse
from difflab.schedules import Cosine, Linear, ZeroTerminalSnr
from tests.conftest import Exploding, Formula, every, gaussian_denoiser, option, options, printed

CHAINS = [schedule for schedule in every("schedule") if schedule.values[0].T is not None]

SCHEDULES = {
    "linear 1000": Linear(1000, beta_first=1e-4, beta_last=0.02),
    "cosine 1000": Cosine(1000, offset=0.008, beta_max=0.999),
    "linear 4000": Linear(4000, beta_first=1e-4, beta_last=0.02),
    "cosine 4000": Cosine(4000, offset=0.008, beta_max=0.999),
}


def bits_by_step(bound, x0, x0_hat_of):
    """The terms k = 1 .. T of one image [1, d], given x0_hat(k) for a whole batch of steps."""
    k = torch.arange(1, bound.T + 1)
    x0 = x0.expand(bound.T, -1)
    return bound.terms(x0, x0_hat_of(k), k)


# Perfect x0_hat, mean over the 256 levels: the prior, the steps k >= 2 with forward variance, both totals.
PERFECT = {
    "linear 1000": ("9.78082e-6", "0.486419", "1.299172", "1.785591"),
    "cosine 1000": ("5.88575e-10", "0.432447", "0.735750", "1.168197"),
    "linear 4000": ("1.02918e-5", "0.372286", "0.458237", "0.830523"),
    "cosine 4000": ("3.67860e-11", "0.351994", "0.119345", "0.471339"),
}


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", PERFECT)
def test_golden_numbers_of_the_perfect_model(name, clip):
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)[None]
    posterior, forward = (Bound(SCHEDULES[name], v(), clip=clip, levels=256) for v in (Posterior, Forward))
    prior = float(posterior.prior(levels))
    by_posterior, by_forward = (
        bits_by_step(b, levels, lambda k: levels.expand(len(k), -1)) for b in (posterior, forward)
    )
    assert by_posterior[1:].abs().max() < 1e-12
    found = (prior, by_forward[1:].sum(), prior + by_posterior.sum(), prior + by_forward.sum())
    for value, number in zip(found, PERFECT[name], strict=True):
        assert float(value) == printed(number)


ZERO = {
    "linear 1000": "14.672920",
    "cosine 1000": "739.845194",
    "linear 4000": "15.421982",
    "cosine 4000": "742.761248",
}


@pytest.mark.parametrize("name", ZERO)
def test_golden_numbers_of_the_model_that_predicts_no_noise(name):
    """On noise of +-1, whose mean square is the expected one."""
    schedule = SCHEDULES[name]
    draw = torch.Generator().manual_seed(0)
    x0 = torch.rand(1, 64, dtype=torch.float64, generator=draw) * 2 - 1
    eps = torch.randint(2, (1, 64), generator=draw).double() * 2 - 1
    denoise = Denoiser(Formula(lambda x, t: torch.zeros_like(x)), schedule, Eps())

    def x0_hat(k):
        t = k.double() / schedule.T
        return denoise(diffuse(schedule, x0.expand(len(k), -1), eps.expand(len(k), -1), t), t).x0

    bound = Bound(schedule, Posterior(), clip=False, levels=256)
    assert float(bits_by_step(bound, x0, x0_hat)[1:].sum()) == printed(ZERO[name])


@pytest.fixture
def example():
    draw = torch.Generator().manual_seed(0)
    x0 = torch.rand(200, 3, 5, dtype=torch.float64, generator=draw) * 2 - 1
    eps, eps_hat = torch.randn(2, 200, 3, 5, dtype=torch.float64, generator=draw)
    return x0, eps, eps_hat


@pytest.mark.parametrize("name", options("variance"))
@pytest.mark.parametrize("schedule", CHAINS)
def test_terms_are_the_divergence_of_the_two_reverse_steps(schedule, name, example):
    """The mean of the textbook (Ho et al., 2020, Eq. 7), the Gaussians of torch."""
    x0, eps, eps_hat = example
    variance = option("variance", name)
    noise = iter(torch.randn(50, *x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    variance.measure(gaussian_denoiser(schedule, 0.1, 0.5), schedule, x0, lambda: next(noise))
    k = torch.randint(2, schedule.T + 1, (200,), generator=torch.Generator().manual_seed(1))
    before, after = (schedule.marginal((k - j).double() / schedule.T).alpha.reshape(-1, 1, 1) ** 2 for j in (1, 0))
    beta = 1 - after / before
    var_q = (1 - before) / (1 - after) * beta
    pull = before.sqrt() * beta / (1 - after)
    share = (eps_hat.roll(1, 0) + 1) / 2
    var_p = {
        "posterior": lambda: var_q,
        "forward": lambda: beta,
        "learned": lambda: beta**share * var_q ** (1 - share),
        "analytic": lambda: var_q + pull**2 * variance.error((after / (1 - after)).log()),
    }[name]()
    x_t = after.sqrt() * x0 + (1 - after).sqrt() * eps
    x0_hat = (x_t - (1 - after).sqrt() * eps_hat) / after.sqrt()

    def mean(x0):
        return pull * x0 + (1 - beta).sqrt() * (1 - before) / (1 - after) * x_t

    nats = kl_divergence(Normal(mean(x0), var_q.sqrt()), Normal(mean(x0_hat), var_p.sqrt()))
    bound = Bound(schedule, variance, clip=False, levels=17)
    found = bound.terms(x0, x0_hat, k, eps_hat.roll(1, 0))
    # where the two means nearly agree, the textbook's subtraction loses digits
    torch.testing.assert_close(found, nats.flatten(1).mean(1) / math.log(2), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("schedule", CHAINS)
def test_the_ends_of_a_learned_variance_are_the_posterior_and_the_forward_one(schedule, example):
    x0, _, x0_hat = example
    k = torch.linspace(1, schedule.T, 200).round().long()
    learned, posterior, forward = (Bound(schedule, v(), False, 17) for v in (Learned, Posterior, Forward))
    low, high = (learned.terms(x0, x0_hat, k, torch.full_like(x0, end)) for end in (-1, 1))
    torch.testing.assert_close(low, posterior.terms(x0, x0_hat, k), rtol=1e-12, atol=0)
    later = k > 1
    torch.testing.assert_close(high[later], forward.terms(x0, x0_hat, k)[later], rtol=1e-12, atol=0)


def test_the_decoder_of_a_learned_variance_lies_between_that_of_the_second_step_and_beta_1(example):
    x0, _, x0_hat = example
    x0 = (x0 * 8).round() / 8
    schedule = option("schedule", "linear")
    abar = schedule.marginal(torch.tensor([1, 2], dtype=torch.float64) / schedule.T).alpha ** 2
    second = (1 - abar[0]) / (1 - abar[1]) * (1 - abar[1] / abar[0])
    std = ((1 - abar[0]) ** 0.6 * second**0.4).sqrt()
    near, k, extra = x0 + 0.01 * x0_hat, torch.ones(200, dtype=torch.long), torch.full_like(x0, 0.2)
    found = Bound(schedule, Learned(), clip=False, levels=17).terms(x0, near, k, extra)
    torch.testing.assert_close(found, discretised_nats(x0, near, std, 17) / math.log(2), rtol=1e-12, atol=0)


@pytest.mark.parametrize("schedule", CHAINS)
def test_terms_with_posterior_variance_are_the_gain_in_snr_times_the_error(schedule, example):
    """L_k = 1/2 expm1(log_snr(k-1) - log_snr(k)) |eps - eps_hat|^2 (Kingma et al., 2021, Eq. 13)."""
    x0, eps, eps_hat = example
    k = torch.linspace(2, schedule.T, 200).round().long()
    t = k.double() / schedule.T
    denoise = Denoiser(Formula(lambda x, t: eps_hat), schedule, Eps())
    x0_hat = denoise(diffuse(schedule, x0, eps, t), t).x0
    gain = torch.expm1(schedule.marginal(t - 1 / schedule.T).log_snr - schedule.marginal(t).log_snr)
    nats = 0.5 * gain * (eps - eps_hat).square().flatten(1).mean(1)
    bound = Bound(schedule, Posterior(), clip=False, levels=17)
    torch.testing.assert_close(bound.terms(x0, x0_hat, k), nats / math.log(2), rtol=1e-9, atol=0)


def test_a_last_step_without_signal_is_the_snr_before_it_times_the_error(example):
    """1/2 (SNR_s - SNR_t) |x_0 - x0_hat|^2 with SNR_t = 0, where the error in eps has no weight."""
    x0, _, x0_hat = example
    schedule = ZeroTerminalSnr(SCHEDULES["linear 1000"])
    k = torch.full((200,), 1000)
    before = schedule.marginal(torch.tensor(0.999, dtype=torch.float64)).log_snr.exp()
    nats = 0.5 * before * (x0 - x0_hat).square().flatten(1).mean(1)
    found = Bound(schedule, Posterior(), clip=False, levels=17).terms(x0, x0_hat, k)
    torch.testing.assert_close(found, nats / math.log(2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", CHAINS)
def test_the_prior_term_is_a_divergence(schedule, example):
    x0, _, _ = example
    alpha, sigma, _ = schedule.marginal(torch.ones((), dtype=torch.float64))
    nats = kl_divergence(Normal(alpha * x0, sigma), Normal(torch.zeros(()).double(), schedule.prior_std))
    found = Bound(schedule, Posterior(), clip=True, levels=17).prior(x0)
    torch.testing.assert_close(found, nats.flatten(1).mean(1) / math.log(2), rtol=1e-6, atol=1e-14)


def test_the_decoder_stands_at_the_first_step_with_the_variance_of_the_second(example):
    x0, _, x0_hat = example
    schedule = option("schedule", "linear")
    bound = Bound(schedule, Forward(), clip=False, levels=17)
    abar = schedule.marginal(torch.tensor([1, 2], dtype=torch.float64) / schedule.T).alpha ** 2
    std = ((1 - abar[0]) / (1 - abar[1]) * (1 - abar[1] / abar[0])).sqrt()
    x0 = (x0 * 8).round() / 8
    lower = torch.where(x0 < -0.99, -torch.inf, x0 - 1 / 16)
    upper = torch.where(x0 > 0.99, torch.inf, x0 + 1 / 16)
    near = x0 + 0.01 * x0_hat
    model = Normal(near, std)
    bits = -(model.cdf(upper) - model.cdf(lower)).log2().flatten(1).mean(1)
    torch.testing.assert_close(bound.terms(x0, near, torch.ones(200, dtype=torch.long)), bits, rtol=1e-6, atol=1e-9)


def test_clipping_is_that_of_x0_hat(example):
    x0, _, noise = example
    k = torch.arange(1, 201)
    free, clipped = (Bound(option("schedule", "linear"), Forward(), clip=c, levels=17) for c in (False, True))
    assert torch.equal(clipped.terms(x0, 2 * noise, k), free.terms(x0, (2 * noise).clamp(-1, 1), k))
    assert (clipped.terms(x0, 2 * noise, k) < free.terms(x0, 2 * noise, k)).all()


def test_a_schedule_without_steps_is_refused():
    with pytest.raises(ValueError, match="steps"):
        Bound(Exploding(), Posterior(), clip=True, levels=17)
