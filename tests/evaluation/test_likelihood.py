import math
from types import SimpleNamespace

import pytest
import torch

from difflab.data import Images
from difflab.data.scaling import Scaling
from difflab.errors import ConfigError
from difflab.evaluation.examples import Examples
from difflab.evaluation.likelihood import Continuous, Likelihood, bins
from difflab.likelihood import Bound, Discretised, Exact, Gaussian, Stratified
from difflab.models import MLP, StepIndex
from difflab.prediction import Denoiser, Eps
from difflab.process import Posterior, diffuse
from tests.conftest import gaussian_denoiser, option


@pytest.mark.parametrize("T", [21, 100, 1000, 4000])
@pytest.mark.parametrize("estimate", [Exact(), Stratified(8, 6, 0.2)], ids=["exact", "stratified"])
def test_stretches_of_the_chain_share_its_bits(estimate, T):
    by_step = torch.rand(T + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = bins(by_step, estimate)
    assert [k for first, last, _ in found for k in range(first, last + 1)] == list(range(1, T + 1))
    for first, last, bits in found:
        assert bits == pytest.approx(float(by_step[first : last + 1].sum()))
    assert len(found) == T if isinstance(estimate, Exact) else len(found) <= 40


T = 60


@pytest.fixture(scope="module")
def data():
    """11 levels, so 8 bits play no part."""
    draw = torch.Generator().manual_seed(0)
    parts = [Images(torch.randint(11, (n, 1, 4, 4), dtype=torch.uint8, generator=draw), None) for n in (24, 40)]
    return SimpleNamespace(levels=11, scaling=Scaling(11), test=parts[0], val=parts[1])


@pytest.fixture(scope="module")
def network():
    """A real network that has seen these levels for some steps."""
    torch.manual_seed(0)
    schedule = option("schedule", "linear", f"schedule.T={T}")
    denoise = Denoiser(MLP((1, 4, 4), StepIndex(), 32, 1, 0.0), schedule, Eps())
    optimizer, levels = torch.optim.Adam(denoise.parameters(), 3e-3), Scaling(11)
    for _ in range(150):
        x0, eps = levels.encode(torch.randint(11, (64, 1, 4, 4))), torch.randn(64, 1, 4, 4)
        t = torch.randint(1, T + 1, (64,)).double() / T
        loss = (denoise(diffuse(schedule, x0, eps, t), t).eps - eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return denoise.eval().requires_grad_(False)


STRATIFIED = Likelihood(Stratified(6, 8, 0.1), Posterior(), Discretised(), True, 512)
EXACT = Likelihood(Exact(), Posterior(), Discretised(), True, 512)


@pytest.mark.slow
def test_stratified_agrees_with_exact_within_three_standard_errors_over_20_seeds(network, data):
    """Under every bound; exact knows its own noise from as many seeds."""
    x0, kinds = data.scaling.encode(data.test.pixels), STRATIFIED.bounds(network.schedule, 11)
    means = {}
    for name, chosen, seeds in (("few", STRATIFIED, 20), ("all", EXACT, 8)):
        found = []
        for seed in range(seeds):
            scorer = chosen.scorer(network, 11, seed)
            sums = scorer.score(Examples(x0), "test", scorer.plan(Examples(data.scaling.encode(data.val.pixels))))
            found.append([sums.mean(i) for i in range(len(kinds))])
        means[name] = torch.tensor(found, dtype=torch.float64)
    few, every = means["few"], means["all"]
    z = (few.mean(0) - every.mean(0)) / (few.var(0) / 20 + every.var(0) / 8).sqrt()
    assert z.abs().max() < 3
    assert (few.std(0) < 0.05 * few.mean(0)).all()  # a bias would show


def test_exact_keeps_every_term_of_every_bound(network, data):
    scores = EXACT.figures(network, data, None, 0)
    assert scores.terms.keys() == EXACT.bounds(network.schedule, 11).keys()
    prior = scores.figures["bits_per_dim_prior"]
    for kind, terms in scores.terms.items():
        assert [(first, last) for first, last, _ in terms] == [(k, k) for k in range(1, T + 1)]
        assert prior + sum(bits for *_, bits in terms) == pytest.approx(scores.figures[f"bits_per_dim_{kind}"])
    assert next(iter(scores.terms)) == "posterior_clipped"
    assert scores.terms["posterior_clipped"] != scores.terms["posterior_unclipped"]
    assert scores.figures["bits_per_dim_calls"] == T
    for name in ("bits_per_dim_stderr", "bits_per_dim_truncated_stderr"):
        assert 0 < scores.figures[name] < 0.3
    assert scores.figures["bits_per_dim_decoder"] == pytest.approx(scores.terms["posterior_clipped"][0][2])


def test_the_pilot_is_among_the_calls(network, data):
    figures = STRATIFIED.figures(network, data, 12, 0).figures
    pilot = len(STRATIFIED.estimate.pilot(T)) * 16
    assert figures["bits_per_dim_calls"] == pytest.approx(6 + pilot / 12)
    assert figures["bits_per_dim_images"] == 12


def test_the_decoder_is_that_of_the_choice(network, data):
    plain = Likelihood(Exact(), Posterior(), Gaussian(), True, 512)
    terms, others = (chosen.figures(network, data, 12, 0).terms["posterior_clipped"] for chosen in (EXACT, plain))
    assert terms[1:] == others[1:]
    assert terms[0][2] > others[0][2]  # the density over a bin far wider than it
    assert isinstance(next(iter(plain.bounds(network.schedule, 11).values())), Bound)


def test_of_any_images_is_mean_and_error(network, data):
    x0 = data.scaling.encode(data.test.pixels)
    mean, error = STRATIFIED.of(network, data, Examples(x0), 0)
    scorer = STRATIFIED.scorer(network, 11, 0)
    sums = scorer.score(Examples(x0), "x", scorer.plan(Examples(data.scaling.encode(data.val.pixels))))
    assert (mean, error) == (sums.mean(), sums.image_stderr())
    assert STRATIFIED.of(network, data, Examples(x0[:1]), 0)[1] > 0


@pytest.mark.parametrize("calls", [8, 9, 40, 300, 2000])
def test_quick_stays_within_its_calls_and_off_the_test_images(network, data, calls):
    seen = []

    def counted(x, t):
        seen.append(len(x))
        return network(x, t)

    counted.schedule, counted.device, counted.conditioning = network.schedule, network.device, network.conditioning
    held_out = SimpleNamespace(levels=11, scaling=data.scaling, val=data.val)
    found = EXACT.quick(counted, held_out, calls, 0)
    assert sum(seen) <= calls
    assert found["bits_per_dim_calls"] * found["bits_per_dim_images"] == pytest.approx(sum(seen))
    assert found["bits_per_dim_images"] == (40 if calls >= 300 else found["bits_per_dim_images"]) >= 2
    assert sum(seen) > 0.6 * calls
    assert all(math.isfinite(value) for value in found.values())


def test_quick_is_unbiased(network, data):
    x0 = data.scaling.encode(data.val.pixels)
    scorers = [EXACT.scorer(network, 11, seed) for seed in range(4)]
    exact = torch.tensor([s.score(Examples(x0), "val", s.plan(Examples(x0))).mean() for s in scorers])
    found = [EXACT.quick(network, data, 600, seed) for seed in range(20)]
    means = torch.tensor([f["bits_per_dim"] for f in found])
    reported = (sum(f["bits_per_dim_stderr"] ** 2 for f in found) / 20) ** 0.5
    assert float(means.std()) == pytest.approx(reported, rel=0.5)
    assert abs(float(means.mean() - exact.mean())) < 3 * (reported**2 / 20 + float(exact.var()) / 4) ** 0.5


def test_quick_refuses_too_few_calls(network, data):
    with pytest.raises(ConfigError, match=r"^calls: 7; .* at least 8"):
        STRATIFIED.quick(network, data, 7, 0)


def test_continuous_figures_on_a_schedule_without_steps(data):
    denoise = gaussian_denoiser(option("schedule", "vp"), 0.0, 0.6)
    chosen = Continuous(Stratified(8, 8, 0.1), Posterior(), Discretised(), True, 512, cells=100)
    scores = chosen.figures(denoise, data, 12, 0)
    assert scores.terms.keys() == {"continuous_clipped", "continuous_unclipped"}
    assert 2 < scores.figures["bits_per_dim_truncated"] <= scores.figures["bits_per_dim"] + 0.2
