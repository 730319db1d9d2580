import math
from dataclasses import replace

import pytest
import torch

from difflab.evaluation import Scorer
from difflab.evaluation.examples import Examples
from difflab.evaluation.truncation import Truncation, choose, decoder_bits, truncated_bits
from difflab.likelihood import Bound, Exact, Stratified, discretised_nats
from difflab.prediction import X0, Denoiser
from difflab.process import Posterior
from tests.conftest import Formula, gaussian_denoiser, option

T = 80


@pytest.fixture(scope="module")
def schedule():
    return option("schedule", "cosine", f"schedule.T={T}")


@pytest.fixture(scope="module")
def images():
    return torch.randint(4, 13, (30, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 8 - 1


@pytest.fixture(params=[True, False], ids=["clipped", "unclipped"])
def constant(schedule, request):
    """A scorer of a denoiser in whose terms noise plays no part."""
    image = torch.linspace(-1.2, 1.2, 16).reshape(1, 4, 4)
    denoise = Denoiser(Formula(lambda x, t: image.expand_as(x)), schedule, X0())
    bound = Bound(schedule, Posterior(), request.param, levels=17)
    return Scorer(denoise, Exact(), [bound], seed=0, batch=512), image.clamp(-1, 1) if request.param else image


def scored(scorer, images, beyond):
    return scorer.score(Examples(images), "test", scorer.plan(Examples(images[:8])), beyond)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_it_is_the_prior_the_steps_beyond_and_the_decoder(constant, images, k):
    scorer, image = constant
    found, stderr = truncated_bits(scorer, Examples(images), "test", scored(scorer, images, k), Truncation(k, 0.21))
    bound, x0_hat = scorer.bounds[0], image.expand_as(images)
    each = torch.stack([bound.terms(images, x0_hat, torch.full((30,), j)) for j in range(k + 1, T + 1)])
    decoder = discretised_nats(images, x0_hat, torch.tensor(0.21).double(), 17) / math.log(2)
    assert found == pytest.approx(float((bound.prior(images) + each.sum(0) + decoder).mean()))
    # no noise here: what is reported is what keeps the error of exact above its spread, each step's spread over images
    assert stderr == pytest.approx(float((each.var(1).sum() / 30).sqrt()))


def test_at_the_first_step_with_the_width_of_the_bound_it_is_the_bound(constant, images):
    scorer, _ = constant
    sums = scored(scorer, images, 1)
    end = Truncation(1, float(scorer.bounds[0].first.posterior_var.sqrt()))
    assert truncated_bits(scorer, Examples(images), "test", sums, end)[0] == pytest.approx(sums.mean())


def test_the_chosen_end_is_the_best_of_the_candidates(schedule, images):
    denoise = gaussian_denoiser(schedule, 0.0, 0.3)
    scorer = Scorer(denoise, Exact(), [Bound(schedule, Posterior(), True, levels=17)], seed=0, batch=4000)
    sums = scored(scorer, images, 0)
    end = choose(scorer, Examples(images), sums)

    def bits(k, std):
        return float(decoder_bits(scorer, Examples(images), "val", k, [std]).mean() + sums.by_step[0, k + 1 :].sum())

    best = bits(*end)
    assert 1 <= end.k <= T / 8
    for std in (end.std * 0.9, end.std * 1.1):
        assert best < bits(end.k, std) + 1e-4
    for k in (1, 2, 3, 5, 8, 10):
        assert best <= min(bits(k, end.std * factor) for factor in (0.5, 1.0, 2.0)) + 1e-4
    assert best < float(sums.by_step[0, 1:].sum())


def test_a_chain_that_ends_at_a_step_is_spared_its_term(constant, images):
    """All the bits in one term, and a decoder that is as good everywhere: the first end that is spared the term."""
    scorer, _ = constant
    sums = scored(scorer, images, 0)
    for k in (2, 5, 10):
        by_step = torch.zeros_like(sums.by_step)
        by_step[0, k] = 1
        assert choose(scorer, Examples(images), replace(sums, by_step=by_step)).k == k


def test_decoder_draws_are_of_their_image_and_name(schedule, images):
    denoise = gaussian_denoiser(schedule, 0.0, 0.3)
    scorer = Scorer(denoise, Exact(), [Bound(schedule, Posterior(), True, levels=17)], seed=0, batch=7)
    whole = decoder_bits(scorer, Examples(images), "test", 5, [0.1, 0.3])
    assert whole.shape == (2, 30)
    torch.testing.assert_close(decoder_bits(scorer, Examples(images[:4]), "test", 5, [0.1, 0.3]), whole[:, :4])
    assert not torch.isclose(decoder_bits(scorer, Examples(images), "test1", 5, [0.1, 0.3]), whole).any()


@pytest.mark.slow
@pytest.mark.parametrize("estimate", [Stratified(8, 6, 0.2), Exact()], ids=["stratified", "exact"])
def test_the_reported_error_is_the_spread_over_seeds(schedule, estimate):
    """On images that are alike, where the upper bound that exact reports is close."""
    denoise = gaussian_denoiser(schedule, 0.0, 0.3)
    images = torch.full((16, 1, 4, 4), 0.25)
    bound, end, found = Bound(schedule, Posterior(), True, levels=17), Truncation(5, 0.2), []
    for seed in range(40):
        scorer = Scorer(denoise, estimate, [bound], seed, batch=1000)
        found.append(truncated_bits(scorer, Examples(images), "test", scored(scorer, images, end.k), end))
    means, errors = torch.tensor(found, dtype=torch.float64).unbind(1)
    assert float(means.std()) == pytest.approx(float(errors.square().mean().sqrt()), rel=0.4)
