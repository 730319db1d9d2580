import math

import pytest
import torch

from difflab.evaluation import Scorer
from difflab.evaluation.examples import Examples
from difflab.evaluation.score import GROUP, Plan
from difflab.likelihood import Bound, Exact, Stratified
from difflab.prediction import X0, Denoiser, Eps
from difflab.process import Forward, Posterior
from tests.conftest import Formula, gaussian_denoiser, option

T = 30
VARIANTS = [(Posterior(), True), (Posterior(), False), (Forward(), True), (Forward(), False)]


@pytest.fixture(scope="module")
def schedule():
    return option("schedule", "cosine", f"schedule.T={T}")


@pytest.fixture(scope="module")
def images():
    return torch.randint(17, (40, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 8 - 1


@pytest.fixture(scope="module")
def constant(schedule):
    """Always the same image, in part beyond the range of the data: noise plays no part in its terms."""
    image = torch.linspace(-1.2, 1.2, 16).reshape(1, 4, 4)
    return Denoiser(Formula(lambda x, t: image.expand_as(x)), schedule, X0())


def scorer(denoise, estimate, seed=0, batch=64):
    bounds = [Bound(denoise.schedule, variance, clip, levels=17) for variance, clip in VARIANTS]
    return Scorer(denoise, estimate, bounds, seed, batch)


def score(denoise, estimate, images, split="test", beyond=0, **more):
    s = scorer(denoise, estimate, **more)
    return s.score(Examples(images), split, s.plan(Examples(images[:8])), beyond)


def terms(bound, x0, x0_hat):
    """Every image's term of every step, [N, T]."""
    columns = [bound.terms(x0, x0_hat.expand_as(x0), torch.full((len(x0),), k)) for k in range(1, T + 1)]
    return torch.stack(columns, 1)


def uniform():
    return Plan(Exact().density(T, torch.empty(0)), torch.zeros(len(VARIANTS), T, dtype=torch.float64), 0)


STRATIFIED = Stratified(steps=8, points=6, uniform_share=0.2)


def test_exact_is_the_sum_of_all_terms_for_every_bound(constant, images):
    sums = score(constant, Exact(), images, beyond=4)
    x0_hat = constant.network(images[:1], None)
    for i, (variance, clip) in enumerate(VARIANTS):
        bound = Bound(constant.schedule, variance, clip, levels=17)
        each = terms(bound, images, x0_hat)
        torch.testing.assert_close(sums.totals[i, :, 0], each.sum(1))
        assert torch.equal(sums.totals[i, :, 0], sums.totals[i, :, 1])
        torch.testing.assert_close(sums.by_step[i, 1:], each.mean(0))
        assert sums.mean(i) == pytest.approx(float((each.sum(1) + bound.prior(images)).mean()))
        if i == 0:
            torch.testing.assert_close(sums.tail[:, 0], each[:, 4:].sum(1))
            assert float(sums.by_step[0, 0]) == pytest.approx(float(bound.prior(images).mean()))
            assert sums.image_stderr() == pytest.approx(float((each.sum(1) + bound.prior(images)).std() / 40**0.5))
    assert float(sums.by_step[0].sum()) == pytest.approx(sums.mean())


def test_the_terms_of_the_exact_denoiser_have_their_expectation(schedule):
    """For k >= 2: gains in SNR times E|x_0 - x0_hat|^2, where x0_hat is linear in x_t."""
    mean, std = 0.2, 0.4
    images = (torch.randn(1500, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * std + mean).clamp(-1, 1)
    denoise = gaussian_denoiser(schedule, mean, std)
    sums = Scorer(denoise, Exact(), [Bound(schedule, Posterior(), False, 17)], 0, 5000).score(
        Examples(images), "test", uniform()
    )
    k = torch.arange(2, T + 1, dtype=torch.float64)
    at, before = schedule.marginal(k / T), schedule.marginal((k - 1) / T)
    gain = at.alpha * std**2 / (at.alpha**2 * std**2 + at.sigma**2)
    error = (1 - gain * at.alpha) ** 2 * (images.double() - mean).square().mean() + gain**2 * at.sigma**2
    expected = (before.log_snr.exp() - at.log_snr.exp()) / 2 * error / math.log(2)
    # 24,000 squared Gaussian numbers in each term know their mean to 0.9%
    torch.testing.assert_close(sums.by_step[0, 2:], expected, rtol=0.04, atol=0)
    assert float(sums.by_step[0, 2:].sum()) == pytest.approx(float(expected.sum()), rel=0.01)


def test_stratified_agrees_with_exact_within_its_error(constant, images):
    exact, few = score(constant, Exact(), images), score(constant, STRATIFIED, images)
    assert 0 < few.noise**0.5 < 0.1 * exact.mean()
    for i in range(len(VARIANTS)):
        assert few.mean(i) == pytest.approx(exact.mean(i), abs=4 * few.noise**0.5 * exact.mean(i) / exact.mean())
    assert few.totals.shape == exact.totals.shape == (4, 40, 2)
    torch.testing.assert_close(few.prior, exact.prior)


@pytest.mark.slow
def test_the_reported_error_is_the_spread_over_seeds(constant, images):
    found = [score(constant, STRATIFIED, images, seed=seed, batch=400) for seed in range(30)]
    means = torch.tensor([sums.mean() for sums in found])
    reported = (sum(sums.noise for sums in found) / 30) ** 0.5
    assert float(means.std()) == pytest.approx(reported, rel=0.4)  # 30 seeds know it to 13%
    exact = score(constant, Exact(), images).mean()
    assert abs(float(means.mean()) - exact) < 3 * reported / 30**0.5


@pytest.fixture(scope="module")
def noisy(schedule):
    return gaussian_denoiser(schedule, 0.0, 0.5)


@pytest.mark.parametrize("estimate", [Exact(), STRATIFIED], ids=["exact", "stratified"])
def test_the_noise_of_image_i_is_its_own(noisy, images, estimate):
    """A function of (seed, split, i): neither of the batch nor of the other images."""
    s = scorer(noisy, estimate)
    plan = s.plan(Examples(images[:8]))
    whole = s.score(Examples(images), "test", plan)
    torch.testing.assert_close(s.score(Examples(images[:7]), "test", plan).totals, whole.totals[:, :7])
    for batch in (9, 1000):
        other = scorer(noisy, estimate, batch=batch).score(Examples(images), "test", plan)
        torch.testing.assert_close(other.totals, whole.totals, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(other.by_step, whole.by_step, rtol=1e-5, atol=1e-7)
    for changed in (
        s.score(Examples(images), "val", plan),
        scorer(noisy, estimate, seed=1).score(Examples(images), "test", plan),
    ):
        assert not torch.isclose(changed.totals, whole.totals).any()


def test_the_density_follows_the_terms(constant, images):
    s = scorer(constant, STRATIFIED)
    each = terms(s.bounds[0], images[:8], constant.network(images[:1], None))
    pilot = STRATIFIED.pilot(T)
    expected = STRATIFIED.density(T, each[:, pilot - 1].square().mean(0))
    plan = s.plan(Examples(images[:8]))
    torch.testing.assert_close(plan.density, expected)
    assert float(expected.sum()) == pytest.approx(1)
    assert plan.calls == 8 * len(pilot)
    exact = scorer(constant, Exact()).plan(Examples(images[:8]))
    assert exact.density.tolist() == pytest.approx([1 / T] * T)
    assert (exact.calls, exact.slopes.any()) == (0, False)


def no_slopes(plan):
    return plan._replace(slopes=torch.zeros_like(plan.slopes))


def test_what_a_term_rises_with_the_length_of_its_noise_is_taken_off(images):
    """A network that says there is no noise: each term is its weight times |eps|^2 / D, known without error."""
    schedule = option("schedule", "linear", f"schedule.T={T}")
    denoise = Denoiser(Formula(lambda x, t: torch.zeros_like(x)), schedule, Eps())
    bounds = [Bound(schedule, Posterior(), False, levels=17)]
    s = Scorer(denoise, Stratified(8, 30, 0.2), bounds, 0, 512)
    plan = s.plan(Examples(images[:16]))
    sums = s.score(Examples(images), "test", plan, beyond=1)
    k = torch.arange(2, T + 1, dtype=torch.float64)
    gain = torch.expm1(schedule.marginal((k - 1) / T).log_snr - schedule.marginal(k / T).log_snr)
    weights = 0.5 * gain / math.log(2)
    pilot = Stratified(8, 30, 0.2).pilot(T)
    at = pilot[pilot > 1] - 1
    torch.testing.assert_close(plan.slopes[0, at], weights[at - 1], rtol=1e-4, atol=0)
    assert (plan.slopes[0, 1:] / weights).log().abs().max() < 0.3  # between the steps of the pilot
    plain = s.score(Examples(images), "test", no_slopes(plan), beyond=1)
    error = [float((x.tail.mean(1).mean() - weights.sum()).abs()) / x.noise_of(x.tail, 1) ** 0.5 for x in (sums, plain)]
    assert max(error) < 4
    assert sums.noise_of(sums.tail, 1) < 0.5 * plain.noise_of(plain.tail, 1)


def test_images_of_a_group_divide_the_strata_among_them(noisy):
    s = scorer(noisy, STRATIFIED)
    own = torch.rand(21, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    placed = s.together(own, "test", 0)
    for group in placed[:16].split(GROUP):
        slots = (group * GROUP).long().sort(0).values
        assert torch.equal(slots, torch.arange(GROUP)[:, None].expand(-1, 8))
    torch.testing.assert_close(s.together(own[5:], "test", 5), placed[5:])
    torch.testing.assert_close((placed * GROUP) % 1, own)
    assert not torch.isclose(s.together(own, "val", 0), placed).all()


def test_a_common_curve_costs_no_noise_once_the_strata_are_shared(constant, images):
    """Every image alike: what a group of them does not know of the sum is far below what one of them does not know."""
    same = images[:1].expand(40, -1, -1, -1)
    shared = [score(constant, STRATIFIED, same, seed=seed, batch=400) for seed in range(16)]
    s = scorer(constant, STRATIFIED, batch=400)
    apart = []
    for seed in range(16):
        s.seed = seed
        s.together = lambda uniform, split, first: uniform
        apart.append(s.score(Examples(same), "test", s.plan(Examples(same[:8]))).mean())
    spread = torch.tensor([x.mean() for x in shared]).std()
    assert spread < 0.5 * torch.tensor(apart).std()
    assert float(spread) == pytest.approx((sum(x.noise for x in shared) / 16) ** 0.5, rel=0.5)


def test_the_error_of_exact_is_above_its_spread_over_seeds(schedule, noisy):
    """Images that are alike: hardly above."""
    same = torch.full((30, 1, 4, 4), 0.25)
    found = [score(noisy, Exact(), same, beyond=10, seed=seed, batch=1000) for seed in range(30)]
    for replicates, beyond in ((lambda x: x.totals[0], 0), (lambda x: x.tail, 10)):
        spread = float(torch.stack([replicates(x).mean() for x in found]).std())
        reported = (sum(x.noise_of(replicates(x), beyond) for x in found) / 30) ** 0.5
        assert spread == pytest.approx(reported, rel=0.4)
    apart = score(noisy, Exact(), torch.linspace(-1, 1, 30).reshape(30, 1, 1, 1).expand(-1, 1, 4, 4), batch=1000)
    assert apart.noise > sum(x.noise for x in found) / 30
