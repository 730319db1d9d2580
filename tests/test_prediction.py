import pytest
import torch

from difflab.prediction import Denoiser
from difflab.process import diffuse, expand
from tests.conftest import Exploding, Formula, every, option, options

SCHEDULES = [*every("schedule"), pytest.param(Exploding(), id="exploding")]

# What the network of each parameterisation should say, from alpha, sigma, x0 and eps.
TRUE_OUTPUT = {
    "eps": lambda alpha, sigma, x0, eps: eps,
    "x0": lambda alpha, sigma, x0, eps: x0,
    "v": lambda alpha, sigma, x0, eps: alpha * eps - sigma * x0,
    "score": lambda alpha, sigma, x0, eps: -eps,
    "direct_score": lambda alpha, sigma, x0, eps: -eps / sigma,
    "edm": lambda alpha, sigma, x0, eps: edm(sigma / alpha, x0, eps),
    "flow": lambda alpha, sigma, x0, eps: eps - x0,
}


def edm(s, x0, eps):
    """Karras et al. (2022), Eq. 8: (y - c_skip(y + n)) / c_out, y the image and n = s eps."""
    norm = s**2 + SIGMA_DATA**2
    return (x0 - SIGMA_DATA**2 / norm * (x0 + s * eps)) * norm.sqrt() / (s * SIGMA_DATA)


SIGMA_DATA = 0.5


def within(t, schedule, parameterisation):
    """The times at which a prediction has an x0 on this schedule."""
    ends_in_noise = schedule.marginal(torch.ones((), dtype=torch.float64)).alpha == 0
    return t.clamp(max=0.999) if ends_in_noise and parameterisation.needs_alpha else t


@pytest.fixture
def example():
    """Images, noise and a time for each."""
    draw = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 50, 3, 4, 4, dtype=torch.float64, generator=draw)
    return x0, eps, torch.linspace(0.001, 1, 50, dtype=torch.float64)


@pytest.mark.parametrize("name", options("prediction"))
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_true_output_gives_the_truth(schedule, name, example):
    x0, eps, t = example
    parameterisation = option("prediction", name, sigma_data=SIGMA_DATA)
    t = within(t, schedule, parameterisation)
    at = schedule.marginal(t)
    alpha, sigma = expand(at.alpha, x0), expand(at.sigma, x0)
    x_t = diffuse(schedule, x0, eps, t)
    network = Formula(lambda x, t: TRUE_OUTPUT[name](alpha, sigma, x0, eps))
    prediction = Denoiser(network, schedule, parameterisation)(x_t, t)
    # Where an output says little about a quantity, rounding errors are divided by alpha or sigma.
    for found, true, scale in [
        (prediction.x0, x0, 1 + sigma / alpha),
        (prediction.eps, eps, 1 + alpha / sigma),
        (prediction.v, alpha * eps - sigma * x0, 1 + sigma**2 / alpha + alpha**2 / sigma),
        (prediction.score, -(x_t - alpha * x0) / sigma**2, 1 / sigma + alpha / sigma**2),
    ]:
        assert ((found - true).abs() / scale).max() < 1e-12


@pytest.mark.parametrize("parameterisation", every("prediction", sigma_data=SIGMA_DATA))
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_x0_and_eps_agree_on_x_t_whatever_the_output(schedule, parameterisation, example):
    x_t, output, t = example
    t = within(t, schedule, parameterisation)
    prediction = Denoiser(Formula(lambda x, t: output), schedule, parameterisation)(x_t, t)
    again = prediction.alpha * prediction.x0 + prediction.sigma * prediction.eps
    terms = (prediction.alpha * prediction.x0).abs() + (prediction.sigma * prediction.eps).abs()
    assert ((again - x_t).abs() / terms).max() < 1e-12
    torch.testing.assert_close(prediction.score, -prediction.eps / prediction.sigma)
    assert torch.equal(prediction.output, output)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_x0_keeps_x_t(schedule, example):
    x_t, output, t = example
    t = within(t, schedule, option("prediction", "eps"))
    before = Denoiser(Formula(lambda x, t: output), schedule, option("prediction", "eps"))(x_t, t)
    clipped = before.x0.clamp(-1, 1)
    after = before.with_x0(clipped, x_t)
    assert torch.equal(after.x0, clipped)
    assert torch.equal(after.output, before.output)
    again = after.alpha * after.x0 + after.sigma * after.eps
    torch.testing.assert_close(again, x_t)
    changed = (before.x0 != clipped).flatten(1).any(1)
    assert changed.any()
    unchanged = before.with_x0(before.x0, x_t)
    assert ((unchanged.eps - before.eps).abs() * before.sigma / (1 + before.alpha)).max() < 1e-12


def test_a_network_of_lower_precision_is_brought_to_that_of_x(example):
    x_t, output, t = example
    denoise = Denoiser(
        Formula(lambda x, t: output.bfloat16()), option("schedule", "linear"), option("prediction", "x0")
    )
    assert denoise(x_t, t).x0.dtype == denoise(x_t, t).eps.dtype == torch.float64


def test_the_network_is_told_the_time_that_it_asks_for(example):
    x_t, _, t = example
    schedule, heard = option("schedule", "cosine"), []
    network = Formula(lambda x, c_noise: heard.append(c_noise) or x)
    network.c_noise = lambda schedule, t: schedule.marginal(t).log_snr / 4
    Denoiser(network, schedule, option("prediction", "v"))(x_t, t)
    torch.testing.assert_close(heard[0], schedule.marginal(t).log_snr / 4)


def test_further_channels_are_the_extra_outputs(example):
    x_t, output, t = example
    both = torch.cat([output, -output], 1)
    schedule, eps = option("schedule", "linear"), option("prediction", "eps")
    found = Denoiser(Formula(lambda x, t: both), schedule, eps)(x_t, t)
    alone = Denoiser(Formula(lambda x, t: output), schedule, eps)(x_t, t)
    assert torch.equal(found.extra, -output) and alone.extra is None
    assert torch.equal(found.x0, alone.x0) and torch.equal(found.output, output)
    assert torch.equal(found.with_x0(found.x0, x_t).extra, -output)


def test_a_marginal_that_is_known_changes_nothing(example):
    x_t, output, _ = example
    t = torch.tensor(0.3, dtype=torch.float64)
    for schedule in (option("schedule", "linear"), option("schedule", "geometric")):
        denoise = Denoiser(Formula(lambda x, t: output), schedule, option("prediction", "v"))
        known = denoise(x_t, t.expand(50), schedule.marginal(t))
        torch.testing.assert_close(known.x0, denoise(x_t, t.expand(50)).x0, rtol=1e-14, atol=0)
