import pytest
import torch
from torch import nn

from difflab.losses import Hybrid, Noised, Simple, Vlb
from difflab.prediction import Denoiser, Eps
from difflab.process import Forward, Learned, Posterior, diffuse
from tests.conftest import every, option, options


class TwoHeads(nn.Module):
    """The mean from one parameter, the variance from another."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.variance = nn.Parameter(torch.tensor(-0.4, dtype=torch.float64))

    def c_noise(self, schedule, t):
        return t

    def forward(self, x, t):
        return torch.cat([self.mean * x, self.variance * x.tanh()], dim=1)


@pytest.fixture(params=[name for name in options("schedule") if option("schedule", name).T is not None])
def case(request):
    schedule = option("schedule", request.param)
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (40, 6), generator=draw).double() / 8 - 1
    eps = torch.randn(40, 6, dtype=torch.float64, generator=draw)
    t = torch.linspace(1, schedule.T, 40, dtype=torch.float64).round() / schedule.T
    return schedule, Denoiser(TwoHeads(), schedule, Eps()), Noised(x0, eps, t, diffuse(schedule, x0, eps, t))


def test_its_value_is_simple_and_a_thousandth_of_the_bound(case):
    """The bound summed over the steps: T times the drawn term, in bits per dimension."""
    schedule, denoise, noised = case
    hybrid = option("loss", "hybrid", levels=17)
    expected = Simple()(denoise, noised, schedule) + 1e-3 * Vlb(Learned(), 17)(denoise, noised, schedule)
    torch.testing.assert_close(hybrid(denoise, noised, schedule), expected, rtol=1e-12, atol=0)


def test_the_mean_learns_from_simple_and_the_variance_from_the_bound(case):
    schedule, denoise, noised = case
    parameters = [denoise.network.mean, denoise.network.variance]

    def gradients(loss):
        return torch.autograd.grad(loss(denoise, noised, schedule).mean(), parameters)

    mean, variance = gradients(Hybrid(1e-3, Learned(), 17))
    simple, nothing = gradients(Simple())
    of_bound, by_bound = gradients(Vlb(Learned(), 17))
    assert nothing == 0
    torch.testing.assert_close(mean, simple, rtol=1e-12, atol=0)
    torch.testing.assert_close(variance, 1e-3 * by_bound, rtol=1e-12, atol=0)
    assert of_bound.abs() > 1e-3  # the bound would have moved the mean
    assert variance.abs() > 1e-9


def test_it_weighs_the_levels_as_simple(case):
    _, denoise, noised = case
    assert torch.equal(Hybrid(0.5, Learned(), 17).weight(denoise, noised.t), torch.ones(40, dtype=torch.float64))


@pytest.mark.parametrize("variance", [Posterior(), Forward()])
def test_a_variance_with_nothing_to_train_is_refused(case, variance):
    schedule, denoise, noised = case
    with pytest.raises(ValueError, match="loss: hybrid trains a learned variance: allowed is variance=learned"):
        Hybrid(1e-3, variance, 17)(denoise, noised, schedule)


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match=r"loss\.scale"):
        Hybrid(-1e-3, Learned(), 17)


@pytest.mark.parametrize("schedule", [s for s in every("schedule") if s.values[0].T is None])
def test_a_schedule_without_steps_is_refused(schedule):
    x = torch.zeros(1, 2, dtype=torch.float64)
    noised = Noised(x, x, torch.tensor([0.5], dtype=torch.float64), x)
    with pytest.raises(ValueError, match="loss: hybrid"):
        Hybrid(1e-3, Learned(), 17)(Denoiser(TwoHeads(), schedule, Eps()), noised, schedule)


def test_it_recommends_a_learned_variance():
    assert isinstance(option("loss", "hybrid", levels=17).bound.variance, Learned)
