import math

import pytest
import torch
from torch.distributions import Normal

from difflab.likelihood import Bound, ContinuousBound, Discretised, Gaussian, discretised_nats
from difflab.process import Posterior
from tests.conftest import option

LEVELS = [2, 17, 256]


def on_levels(levels):
    return torch.linspace(-1, 1, levels, dtype=torch.float64)[:, None]


def nats(x0, mean, std, levels):
    return discretised_nats(x0, torch.as_tensor(mean).double().expand_as(x0), torch.tensor(std).double(), levels)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("std", [1e-3, 0.03, 0.5, 20.0])
@pytest.mark.parametrize("mean", [-3.0, -0.99, 0.0, 0.31, 1.0])
def test_the_levels_share_all_of_the_probability(levels, std, mean):
    assert float(torch.exp(-nats(on_levels(levels), mean, std, levels)).sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("std", [0.03, 0.5, 5.0])
def test_each_level_has_the_integral_over_its_bin(levels, std):
    """By Simpson's rule on 2,001 points; open tails stop at 12 standard deviations."""
    mean, width, x0 = 0.2, 2 / (levels - 1), on_levels(levels)
    for level, found in zip(x0.flatten().tolist(), nats(x0, mean, std, levels).tolist(), strict=True):
        lower = min(mean, -1) - 12 * std if level == -1 else level - width / 2
        upper = max(mean, 1) + 12 * std if level == 1 else level + width / 2
        # bins that reach over the peak are cut where the density is spread over many points
        lower, upper = max(lower, mean - 40 * std), min(upper, mean + 40 * std)
        if upper <= lower:
            continue
        x = torch.linspace(lower, upper, 2001, dtype=torch.float64)
        weight = torch.ones(2001, dtype=torch.float64)
        weight[1:-1:2], weight[2:-1:2] = 4, 2
        log_density = -((x - mean) ** 2) / (2 * std**2) - math.log(std) - 0.5 * math.log(2 * math.pi)
        log_mass = torch.logsumexp(log_density + weight.log(), 0) + math.log((upper - lower) / 2000 / 3)
        assert found == pytest.approx(-float(log_mass), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("mean", [-1e3, -30.0, 30.0, 1e3])
@pytest.mark.parametrize("levels", LEVELS)
def test_far_tails_are_finite_and_right(levels, mean):
    """The mass beyond a point far in the tail is that of Mills' ratio, phi(z)/z (1 - 1/z^2 + ...)."""
    x0, std = on_levels(levels), 0.01
    found = nats(x0, mean, std, levels)
    assert found.isfinite().all()
    edge = x0.flatten() - math.copysign(1, -mean) / (levels - 1)  # the edge that is nearest to the mean
    z = (mean - edge).abs() / std
    mills = z**2 / 2 + z.log() + 0.5 * math.log(2 * math.pi)
    nearest = int(found.argmin())
    assert nearest == (levels - 1 if mean > 0 else 0)
    others = torch.arange(levels) != nearest
    torch.testing.assert_close(found[others], mills[others], rtol=1e-6, atol=0)
    assert found[nearest] == pytest.approx(0, abs=1e-12)


def test_it_is_symmetric():
    """Both tails are computed alike."""
    x0 = on_levels(17)
    mean = torch.linspace(-20, 20, 17, dtype=torch.float64)[:, None]
    std = torch.tensor(0.1).double()
    torch.testing.assert_close(
        discretised_nats(x0, mean, std, 17), discretised_nats(-x0, -mean, std, 17), rtol=1e-12, atol=0
    )


def test_it_is_a_mean_over_the_dimensions():
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (4, 3, 2, 2), generator=draw) / 8 - 1
    mean = torch.randn(x0.shape, generator=draw)
    std = torch.tensor(0.3).double()
    each = discretised_nats(x0.flatten()[:, None], mean.flatten()[:, None], std, 17)
    torch.testing.assert_close(discretised_nats(x0, mean, std, 17), each.view(4, -1).mean(1))


def test_float32_images_lie_in_their_own_bins():
    """Levels as the data encodes them, not exactly on the float64 grid."""
    for levels in LEVELS:
        encoded = torch.arange(levels).float() * (2 / (levels - 1)) - 1
        mean = on_levels(levels)
        std = torch.tensor(0.05 / levels).double()
        assert float(discretised_nats(encoded[:, None], mean, std, levels).max()) < 1e-6


def example(levels):
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(1, levels - 1, (7, 2, 3), generator=draw) * 2 / (levels - 1) - 1
    return x0, x0 + 0.05 * torch.randn(x0.shape, generator=draw)


@pytest.mark.parametrize("levels", [17, 256])
def test_the_plain_gaussian_is_the_density_times_the_width_of_a_bin(levels):
    x0, mean = example(levels)
    std = torch.tensor(0.07).double()
    density = Normal(mean.double(), std).log_prob(x0.double()) + math.log(2 / (levels - 1))
    torch.testing.assert_close(Gaussian().nats(x0, mean, std, levels), -density.flatten(1).mean(1))


def test_both_agree_where_the_decoder_is_far_wider_than_a_bin_and_the_plain_one_claims_too_much_where_it_is_not():
    x0, mean = example(256)
    wide, narrow = torch.tensor(0.2).double(), torch.tensor(1e-4).double()
    plain, binned = Gaussian(), Discretised()
    torch.testing.assert_close(plain.nats(x0, mean, wide, 256), binned.nats(x0, mean, wide, 256), rtol=0, atol=1e-4)
    assert (plain.nats(x0, x0, narrow, 256) < 0).all()
    assert (binned.nats(x0, x0, narrow, 256) >= 0).all()


def test_a_bound_has_the_decoder_that_it_is_given():
    schedule, (x0, x0_hat), k = option("schedule", "linear"), example(17), torch.ones(7, dtype=torch.long)
    assert isinstance(option("decoder", "discretised"), Discretised)
    known = Bound(schedule, Posterior(), False, 17), Bound(schedule, Posterior(), False, 17, Discretised())
    torch.testing.assert_close(known[0].terms(x0, x0_hat, k), known[1].terms(x0, x0_hat, k), rtol=0, atol=0)
    bound = Bound(schedule, Posterior(), False, 17, option("decoder", "gaussian"))
    std = bound.first.posterior_var.sqrt()
    wanted = Gaussian().nats(x0, x0_hat, std, 17) / math.log(2)
    torch.testing.assert_close(bound.terms(x0, x0_hat, k), wanted)
    torch.testing.assert_close(bound.terms(x0, x0_hat, k + 1), known[0].terms(x0, x0_hat, k + 1), rtol=0, atol=0)


def test_the_reconstruction_has_it_too():
    schedule, x0, eps = option("schedule", "vp"), example(17)[0], torch.ones(7, 2, 3)
    found = ContinuousBound(schedule, 17, False, Gaussian()).reconstruction(x0, eps)
    alpha, sigma, _ = schedule.marginal(torch.tensor(schedule.t_min).double())
    nats = 0.5 + float(torch.log(sigma / alpha)) + 0.5 * math.log(2 * math.pi) - math.log(2 / 16)
    torch.testing.assert_close(found, torch.full_like(found, nats / math.log(2)), rtol=1e-5, atol=0)
