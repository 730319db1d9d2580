import math

import pytest
import torch

from difflab.likelihood import Bound, discretised_nats
from difflab.losses import Noised, Simple, Vlb
from difflab.prediction import Denoiser, Eps
from difflab.process import Posterior, diffuse
from tests.conftest import Formula, every


@pytest.fixture(params=every("schedule", "schedule.T=100"))
def chain(request):
    """Every step of one image: a denoiser that is wrong, and the noised examples."""
    schedule = request.param
    draw = torch.Generator().manual_seed(0)
    x0 = (torch.randint(17, (1, 12), generator=draw).double() / 8 - 1).expand(schedule.T, -1)
    eps, output = torch.randn(2, schedule.T, 12, dtype=torch.float64, generator=draw)
    t = torch.arange(1, schedule.T + 1, dtype=torch.float64) / schedule.T
    denoise = Denoiser(Formula(lambda x, t: output), schedule, Eps())
    return schedule, denoise, Noised(x0, eps, t, diffuse(schedule, x0, eps, t))


@pytest.mark.parametrize("variance", every("variance"))
def test_its_mean_over_the_steps_is_the_bound_without_the_prior(chain, variance):
    """One call for each k, every image's own step found from its time."""
    schedule, denoise, noised = chain
    mean = Vlb(variance, levels=17)(denoise, noised, schedule).mean()
    bound = Bound(schedule, variance, clip=False, levels=17)
    k = torch.arange(1, schedule.T + 1)
    assert float(mean) == pytest.approx(float(bound.terms(noised.x0, denoise(noised.x_t, noised.t).x0, k).sum()))


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


def test_the_first_step_is_the_decoder(chain):
    schedule, denoise, noised = chain
    first = Noised(*(part[:1] for part in noised))
    abar = schedule.marginal(noised.t[:2]).alpha ** 2
    std = ((1 - abar[0]) / (1 - abar[1]) * (1 - abar[1] / abar[0])).sqrt()
    x0_hat = (first.x_t - (1 - abar[0]).sqrt() * denoise(noised.x_t, noised.t).eps[:1]) / abar[0].sqrt()
    nats = discretised_nats(first.x0, x0_hat, std, 17)
    found = Vlb(Posterior(), levels=17)(denoise, noised, schedule)[:1]
    torch.testing.assert_close(found, schedule.T * nats / math.log(2), rtol=1e-9, atol=0)
