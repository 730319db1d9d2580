"""The variances of the reverse step, against closed forms; the analytic one is measured without sampling error."""

from functools import cache

import pytest
import torch

from difflab.likelihood import Bound
from difflab.models import Mixture, Oracle
from difflab.prediction import X0, Denoiser
from difflab.process import Analytic, Forward, Learned, Posterior, diffuse, transition
from difflab.samplers.ancestral import Ancestral
from difflab.samplers.ddim import DDIM
from difflab.samplers.grid import Uniform
from difflab.schedules import VP, Cosine, Flow, Geometric, Linear, ZeroTerminalSnr
from tests.conftest import every, gaussian_denoiser, option

STD = 0.5
CHAIN = Linear(100, beta_first=1e-4, beta_last=0.02)
CONTINUOUS = {"vp": VP(0.1, 20.0, 1e-3), "exploding": Geometric(0.01, 50.0, None), "flow": Flow(1e-3)}
EVERY = {"linear": CHAIN, "cosine": Cosine(100, offset=0.008, beta_max=0.999), **CONTINUOUS}
schedules = pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)

# x_0 = +-STD and eps = +-1 in all four combinations: whatever is quadratic in them has its Gaussian mean.
X_0, EPS = torch.tensor([[STD, STD, -STD, -STD], [1, -1, 1, -1]], dtype=torch.float64)[:, :, None]


@cache
def measured(schedule, points=1000):
    """Of the exact denoiser of N(0, STD^2)."""
    variance = Analytic(points)
    variance.measure(gaussian_denoiser(schedule, 0.0, STD), schedule, X_0, lambda: EPS)
    return variance


def steps(schedule, n=30, stop=1.0):
    """`n` transitions between random steps of a chain, or random times; the last from 1."""
    u = torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).sort(1).values
    u = u[(u[:, 1] - u[:, 0]) > 0.02]
    u[-1, 1] = stop
    t = schedule.t_min + (1 - schedule.t_min) * u
    if schedule.T is not None:
        t = (t * schedule.T).round() / schedule.T
    return t.unbind(1)


def exact(schedule, s, t):
    """Var(x_s | x_t) for N(0, STD^2): of two correlated Gaussians."""
    at_s, at_t = schedule.marginal(s), schedule.marginal(t)
    var_s, var_t = (at.alpha**2 * STD**2 + at.sigma**2 for at in (at_s, at_t))
    ratio = at_t.alpha / at_s.alpha
    # x_t = ratio x_s + noise of its own
    return var_s - (ratio * var_s) ** 2 / var_t


@schedules
def test_analytic_is_the_variance_of_the_reverse_process_of_gaussian_data(schedule):
    s, t = steps(schedule)
    found = measured(schedule)(transition(schedule, s, t), None)
    rtol = 1e-8 if schedule.T else 1e-4  # between the points of a continuous schedule it is interpolated
    torch.testing.assert_close(found, exact(schedule, s, t), rtol=rtol, atol=0)


@schedules
def test_few_points_are_enough(schedule):
    s, t = steps(schedule)
    found = measured(schedule, points=40)(transition(schedule, s, t), None)
    torch.testing.assert_close(found, exact(schedule, s, t), rtol=0.03, atol=0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("schedule", [CHAIN, EVERY["cosine"]], ids=["linear", "cosine"])
def test_analytic_is_the_published_formula(schedule, eta):
    """lambda^2 + (sqrt(bbar_n / a_n) - sqrt(bbar_{n-1} - lambda^2))^2 (1 - bbar_n Gamma_n): Bao et al. (2022), Eq. 9.

    bbar = 1 - abar, a_n = abar_n / abar_{n-1}, Gamma_n = E |score|^2 / D; with any lambda^2, as ddim has it.
    """
    k = torch.arange(2, 101, dtype=torch.float64)
    s, t = (k - 1) / 100, k / 100
    step = transition(schedule, s, t)
    abar_s, abar_t = schedule.marginal(s).alpha ** 2, schedule.marginal(t).alpha ** 2
    denoise = gaussian_denoiser(schedule, 0.0, STD)
    x_t = diffuse(schedule, X_0[None, :, 0].expand(99, -1), EPS[None, :, 0].expand(99, -1), t)
    gamma = denoise(x_t, t).score.square().mean(1)
    own = eta**2 * step.posterior_var
    inner = ((1 - abar_t) * abar_s / abar_t).sqrt() - (1 - abar_s - own).clamp(min=0).sqrt()
    published = own + inner**2 * (1 - (1 - abar_t) * gamma)
    variance = measured(schedule)
    slope = abar_s.sqrt() - (1 - abar_s - own).clamp(min=0).sqrt() * (abar_t / (1 - abar_t)).sqrt()
    torch.testing.assert_close(own + variance.correction(step.log_snr, slope), published, rtol=1e-8, atol=1e-14)
    if eta == 1:
        torch.testing.assert_close(variance(step, None), published, rtol=1e-8, atol=0)


@schedules
def test_analytic_lies_between_posterior_and_forward(schedule):
    """Data that varies less than standard noise keeps it below beta (on chains that preserve the variance)."""
    s, t = steps(schedule)
    step = transition(schedule, s, t)
    found = measured(schedule)(step, None)
    assert (found > step.posterior_var).all()
    if schedule.T is not None:
        assert (found < step.var_ts).all()


def reached(sampler, schedule):
    """The variance of x at t_min, from a start with the marginal's own: the sampler is linear."""
    times = sampler.times(schedule)
    at = schedule.marginal(times)
    draws = 2 * len(times)
    start = torch.zeros(draws, 1, dtype=torch.float64)
    start[0] = (at.alpha[0] ** 2 * STD**2 + at.sigma[0] ** 2).sqrt()
    unit = iter(torch.eye(draws, dtype=torch.float64)[1:, :, None])
    states = []
    denoise = gaussian_denoiser(schedule, 0.0, STD)
    sampler.sample(denoise, schedule, lambda: next(unit), states.append, start=start)
    wanted = at.alpha[-1] ** 2 * STD**2 + at.sigma[-1] ** 2
    return float(states[-2].x.square().sum() / wanted)


@pytest.mark.parametrize("n", [2, 5, 10])
@schedules
def test_few_steps_with_analytic_variance_reach_the_variance_of_the_data(schedule, n):
    """Each step draws from the exact q(x_s | x_t), so that every grid has the right marginals; the others do not."""
    variance = measured(schedule)
    rel = 1e-8 if schedule.T else 1e-4
    assert reached(Ancestral(Uniform(), n, False, variance), schedule) == pytest.approx(1, rel=rel)
    for eta in (0.0, 0.6, 1.0):
        assert reached(DDIM(Uniform(), n, False, eta, variance), schedule) == pytest.approx(1, rel=rel)
    others = (
        Ancestral(Uniform(), n, False, Posterior()),
        Ancestral(Uniform(), n, False, Forward()),
        DDIM(Uniform(), n, False, 0.0, Posterior()),
    )
    for other in others:
        assert abs(reached(other, schedule) - 1) > 1e-3


def test_the_best_bound_is_that_of_the_analytic_variance():
    """On a mixture, with the denoiser exact and then wrong: each mean term is least with the measured variance."""
    mixture = Mixture([0.3, 0.7], [[-0.7, 0.2], [0.5, -0.4]], [0.02, 0.09])
    x0 = mixture.sample(500, torch.Generator().manual_seed(0))
    eps = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    right = Denoiser(Oracle(mixture, X0()), CHAIN, X0())

    def wrong(x, t):
        prediction = right(x, t)
        return prediction.with_x0(0.8 * prediction.x0, x)

    totals = []
    for denoise in (right, wrong):
        analytic = Analytic(1000)
        analytic.measure(denoise, CHAIN, x0, lambda: eps)
        bounds = [Bound(CHAIN, v, clip=False, levels=17) for v in (analytic, Posterior(), Forward())]
        terms = []
        for k in torch.arange(2, 101):
            t = (k / 100).double().expand(500)
            x0_hat = denoise(diffuse(CHAIN, x0, eps, t), t).x0
            terms.append(torch.stack([bound.terms(x0, x0_hat, k.expand(500)).mean() for bound in bounds]))
        sums = torch.stack(terms, dim=1)
        assert (sums[0] <= sums[1] + 1e-12).all()
        assert (sums[0] <= sums[2] + 1e-12).all()
        totals.append([float(s.sum()) for s in sums])
    (best, posterior, forward), (best_wrong, posterior_wrong, forward_wrong) = totals
    assert best < min(posterior, forward) - 0.03
    assert best_wrong < min(posterior_wrong, forward_wrong) - 0.03
    assert best < best_wrong


def test_a_chain_without_signal_at_its_end_is_measured():
    """Several of its last steps lie beyond all points, the last at log_snr = -inf."""
    schedule = ZeroTerminalSnr(Linear(10_000, beta_first=1e-4, beta_last=0.02))
    variance = measured(schedule, points=40)
    k = torch.arange(9990, 10_001, dtype=torch.float64) / 10_000
    log_snr = schedule.marginal(k).log_snr
    assert log_snr[-1] == -torch.inf
    assert log_snr[-3] < -20
    torch.testing.assert_close(variance.error(log_snr), torch.full_like(k, STD**2), rtol=1e-6, atol=0)


def test_the_error_is_measured_on_steps_of_the_chain_only():
    asked = []
    denoise = gaussian_denoiser(CHAIN, 0.0, STD)
    variance = Analytic(40)
    variance.measure(lambda x, t: asked.append(t) or denoise(x, t), CHAIN, X_0, lambda: EPS)
    k = torch.stack(asked)[:, 0] * 100
    torch.testing.assert_close(k, k.round(), rtol=0, atol=1e-9)
    assert (k[0], k[-1]) == (100, 1)
    assert (k.diff() < 0).all()


def test_analytic_before_it_is_measured_and_with_too_few_points_is_refused():
    with pytest.raises(ValueError, match="variance: analytic"):
        Analytic(10)(transition(CHAIN, torch.tensor(0.1), torch.tensor(0.2)), None)
    with pytest.raises(ValueError, match=r"variance\.points: 1; "):
        Analytic(1)


@schedules
def test_learned_interpolates_between_the_logarithms_of_the_two_others(schedule):
    (s, t), images = steps(schedule), torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    for j in range(len(s)):
        step = transition(schedule, s[j : j + 1], t[j : j + 1]).over(images)
        full = [v(step, None).expand_as(images) for v in (Posterior(), Forward())]
        for extra, wanted in ((-1, full[0]), (1, full[1]), (0, (full[0] * full[1]).sqrt())):
            torch.testing.assert_close(Learned()(step, torch.full_like(images, extra)), wanted, rtol=1e-10, atol=0)


def test_learned_has_a_value_for_each_pixel_and_needs_outputs_of_its_own():
    step = transition(CHAIN, torch.tensor([0.1, 0.4]), torch.tensor([0.2, 0.7]))
    extra = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    variance = Learned()(step.over(extra), extra)
    assert variance.shape == extra.shape
    assert len(variance.unique()) == extra.numel()
    assert Learned.outputs == 1
    with pytest.raises(ValueError, match="variance: learned needs a network with two outputs"):
        Learned()(step, None)


def test_the_decoder_of_a_learned_variance_lies_between_the_two_of_a_fixed_one():
    """beta_1 = sigma_1^2 is where the forward variance stands at k = 1, beta~_2 where the posterior one does."""
    first = Bound(CHAIN, Learned(), clip=False, levels=17).first
    ends = [Learned().decoder(first, torch.tensor([e], dtype=torch.float64)) for e in (-1.0, 1.0)]
    times = torch.tensor([0.01, 0.02], dtype=torch.float64)
    torch.testing.assert_close(ends[0], transition(CHAIN, *times).posterior_var.reshape(1))
    torch.testing.assert_close(ends[1], CHAIN.marginal(times[:1]).sigma ** 2)
    assert torch.equal(Posterior().decoder(first, None), first.posterior_var)


FIXED = [p for p in every("variance") if not p.values[0].outputs and p.id != "analytic"]


@pytest.mark.parametrize("variance", FIXED)
@schedules
def test_fixed_variances_lie_between_the_optimal_ones(schedule, variance):
    step = transition(schedule, *steps(schedule))
    assert (variance(step, None) >= step.posterior_var).all()
    assert (variance(step, None) <= step.var_ts).all()


def test_the_yaml_of_analytic_measures_more_than_its_ends():
    assert option("variance", "analytic").points > 2
