"""How far the bound is above the exact value, with the exact denoiser of a mixture: what the discretisation costs."""

import math
from functools import cache

import pytest
import torch
from torch.distributions import Normal

from difflab.likelihood import Bound
from difflab.likelihood.decoder import gaussian_nats
from difflab.models import Mixture
from difflab.process import Forward, Posterior
from difflab.schedules import Linear, Marginal
from tests.conftest import printed

WEIGHTS, MEANS, STDS = torch.tensor([[0.3, 0.7], [-1.0, 0.8], [0.2, 0.4]], dtype=torch.float64)
SQUARE = float((WEIGHTS * (MEANS**2 + STDS**2)).sum())
X = torch.linspace(-7, 7, 1401, dtype=torch.float64)  # the trapezoid rule is exact here, for the densities are smooth


@cache
def errors(T):
    """E |x_0 - E[x_0 | x_t]|^2 at every step, by quadrature over x_t."""
    mixture, schedule = Mixture(WEIGHTS, MEANS[:, None], STDS**2), Linear(T, beta_first=1e-4, beta_last=0.02)
    found = []
    for k in torch.arange(1, T + 1, dtype=torch.float64).split(100):
        each = Marginal(*(c.repeat_interleave(len(X)) for c in schedule.marginal(k / T)))
        x = X.repeat(len(k))[:, None]
        density, x0_hat = mixture.log_density(x, each).exp(), mixture.x0_hat(x, each)[:, 0]
        found.append(SQUARE - torch.trapezoid((density * x0_hat**2).reshape(len(k), -1), X))
    return schedule, torch.cat(found)


def gap(T, variance):
    """Bits of the bound above -E log p(x_0).

    Prior, divergences and decoder are linear in x_0^2 and in the squared error, so that their means are their values
    at the root mean squares.
    """
    schedule, error = errors(T)
    bound = Bound(schedule, variance, clip=False, levels=2)
    zero = torch.zeros(T, 1, dtype=torch.float64)
    steps = bound.terms(zero[1:], error[1:, None].sqrt(), torch.arange(2, T + 1)).sum()
    # where the forward variance stands at k = 1 is beta_1 = sigma_1^2
    width = bound.first.var_ts if isinstance(variance, Forward) else variance.decoder(bound.first, None)
    decoder = gaussian_nats(zero[:1], error[:1, None].sqrt(), width.sqrt()) / math.log(2)
    prior = bound.prior(torch.full((1, 1), SQUARE**0.5, dtype=torch.float64))
    density = (WEIGHTS * Normal(MEANS, STDS).log_prob(X[:, None]).exp()).sum(1)
    exact = -torch.trapezoid(density * density.log2(), X)
    return float(steps + decoder + prior - exact)


STEPS = (50, 250, 1000, 4000)


@pytest.mark.parametrize(("T", "bits"), [*zip(STEPS, ("0.0945", "0.0198", "0.0050", "0.0013"), strict=True)])
def test_golden_numbers_of_the_forward_variance(T, bits):
    assert gap(T, Forward()) == printed(bits)


@pytest.mark.parametrize(("T", "bits"), [*zip(STEPS, ("2.68", "1.16", "0.815", "0.701"), strict=True)])
def test_golden_numbers_of_the_posterior_variance(T, bits):
    assert gap(T, Posterior()) == printed(bits)


def test_with_forward_variance_the_gap_falls_like_one_over_the_steps():
    found = {T: gap(T, Forward()) for T in (50, 250, 500, 1000)}
    assert found[50] / found[250] == pytest.approx(5, rel=0.06)
    assert found[250] / found[500] == pytest.approx(2, rel=0.01)
    assert found[500] / found[1000] == pytest.approx(2, rel=0.005)


def test_with_posterior_variance_a_gap_remains():
    """The log_snr steps near t = 0 are ln(k/(k-1)) at any T, and half of sigma_1^2 is the decoder's variance."""
    limit = (0.5772156649015329 + 1 - math.log(2)) / (2 * math.log(2))
    assert limit == printed("0.638")
    over = [gap(T, Posterior()) - limit for T in (250, 500, 1000)]
    assert over[2] > 0
    # what is above it vanishes like T^-3/4 here, later like 1/T
    assert over[0] / over[1] == pytest.approx(1.75, rel=0.1)
    assert over[1] / over[2] == pytest.approx(1.75, rel=0.1)


def test_the_gaussian_decoder_is_the_density():
    x0, mean = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    std = torch.linspace(0.1, 2, 5, dtype=torch.float64).reshape(5, 1, 1)
    wanted = -Normal(mean, std).log_prob(x0).flatten(1).mean(1)
    torch.testing.assert_close(gaussian_nats(x0, mean, std), wanted)
