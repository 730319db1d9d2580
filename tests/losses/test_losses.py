"""What holds for every loss."""

import pytest
import torch
from torch import nn

from difflab.distributions import Gaussian
from difflab.losses import ByParts, Hybrid, Noised
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.schedules import Flow, Linear, ZeroTerminalSnr
from difflab.times import place
from tests.conftest import every

LAW = Gaussian(torch.zeros(1, 4, 4), 0.25)
LOSSES = every("loss", levels=17, sigma_data=0.5, dimensions=16, distribution=LAW)
PREDICTIONS = every("prediction", sigma_data=0.5)


class Line(nn.Module):
    """w x + b t for each output of a channel: a network with something to train."""

    def __init__(self, outputs):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, 0.1][:outputs]))
        self.b = nn.Parameter(torch.tensor([-0.2, 0.4][:outputs]))

    def c_noise(self, schedule, t):
        return t.float()

    def forward(self, x, t):
        return (self.w.reshape(1, -1, 1, 1) * x + (t[:, None] * self.b)[:, :, None, None]).expand(-1, -1, 4, 4)


def outputs(loss):
    """Outputs for each channel of the network that a loss trains."""
    return 2 if isinstance(loss, Hybrid) else 1


def examples(schedule, t):
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (len(t), 1, 4, 4), generator=draw) / 8 - 1
    eps = torch.randn(x0.shape, generator=draw)
    normal = torch.randn(x0.shape, generator=draw)
    return Noised(x0, eps, t, diffuse(schedule, x0, eps, t).detach(), lambda: normal)


def only(noised, i):
    """One of the examples."""
    return Noised(*(part[i : i + 1] for part in noised[:4]), lambda: noised.normal()[i : i + 1])


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", every("schedule"))
def test_each_example_has_a_finite_loss_of_its_own_with_a_gradient(schedule, prediction, loss):
    t = place(torch.tensor([0.0, 0.001, 0.009, 0.0999, 0.5, 0.999], dtype=torch.float64), schedule)
    if prediction.needs_alpha:
        t = t[schedule.marginal(t).alpha > 0]
    denoise = Denoiser(Line(outputs(loss)), schedule, prediction)
    noised = examples(schedule, t)
    if isinstance(loss, Hybrid) and schedule.T is None:
        with pytest.raises(ValueError, match="schedules with T"):
            loss(denoise, noised, schedule)
        return
    value = loss(denoise, noised, schedule)
    assert value.shape == t.shape
    assert value.dtype == torch.float32
    assert value.isfinite().all()
    alone = torch.cat([loss(denoise, only(noised, i), schedule) for i in range(len(t))])
    torch.testing.assert_close(alone, value, rtol=1e-4, atol=1e-6)
    gradients = torch.autograd.grad(loss(denoise, noised, schedule).mean(), list(denoise.network.parameters()))
    assert all(g.isfinite().all() and (g != 0).all() for g in gradients)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("prediction", [p for p in PREDICTIONS if not p.values[0].needs_alpha])
def test_nothing_is_infinite_where_no_signal_is_left(prediction, loss):
    chain = ZeroTerminalSnr(Linear(1000, 1e-4, 0.02))
    for schedule in (chain,) if isinstance(loss, Hybrid) else (chain, Flow(1e-3)):
        finite_at_the_end(schedule, prediction, loss)


def finite_at_the_end(schedule, prediction, loss):
    t = torch.ones(3, dtype=torch.float64)
    assert (schedule.marginal(t).alpha == 0).all()
    denoise = Denoiser(Line(outputs(loss)), schedule, prediction)
    value = loss(denoise, examples(schedule, t), schedule)
    gradients = torch.autograd.grad(value.mean(), list(denoise.parameters()))
    assert value.isfinite().all()
    assert (value >= 0).all() or isinstance(loss, ByParts)
    assert all(g.isfinite().all() for g in gradients)
