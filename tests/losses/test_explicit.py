import pytest
import torch

from difflab.distributions import Mixture
from difflab.losses import Explicit, Noised
from difflab.prediction import Denoiser, DirectScore
from difflab.process import diffuse
from tests.conftest import Formula, option

LAW = Mixture([0.2, 0.8], [[-1.0, 0.0], [1.0, 2.0]], [0.3, [0.1, 0.5]])


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("name", ["linear", "geometric", "flow"])
def test_it_is_the_error_against_the_gradient_of_the_log_density(name, power):
    schedule = option("schedule", name)
    draw = torch.Generator().manual_seed(0)
    x0 = LAW.sample(50, draw)
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=draw)
    t = torch.linspace(schedule.t_min, 0.999, 50, dtype=torch.float64)
    x_t = diffuse(schedule, x0, eps, t).requires_grad_()
    at = schedule.marginal(t)
    (true,) = torch.autograd.grad(LAW.log_density(x_t, at).sum(), x_t)
    x_t = x_t.detach()
    denoise = Denoiser(Formula(lambda x, t: 1 - x), schedule, DirectScore())
    found = Explicit(power, LAW)(denoise, Noised(x0, eps, t, x_t), schedule)
    expected = at.sigma**power / 2 * (1 - x_t - true).square().mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    perfect = Denoiser(Formula(lambda x, t: LAW.score(x, schedule.marginal(t))), schedule, DirectScore())
    assert Explicit(power, LAW)(perfect, Noised(x0, eps, t, x_t), schedule).max() < 1e-9


def test_the_law_is_a_copy_of_its_own():
    """It follows the examples to another device, and must not take the data with it."""
    loss = Explicit(2.0, LAW)
    assert loss.distribution is not LAW
    assert all(own is not other for own, other in zip(loss.distribution.buffers(), LAW.buffers(), strict=True))
