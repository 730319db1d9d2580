"""What holds for every loss."""

import pytest
import torch
from torch import nn

from difflab.losses import Noised
from difflab.prediction import Denoiser
from difflab.process import diffuse
from tests.conftest import every


class Line(nn.Module):
    """w x + b t: a network with something to train."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(-0.2))

    def c_noise(self, schedule, t):
        return t.float()

    def forward(self, x, t):
        return self.w * x + self.b * t.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("loss", every("loss", levels=17))
@pytest.mark.parametrize("prediction", every("prediction"))
@pytest.mark.parametrize("schedule", every("schedule"))
def test_each_example_has_a_finite_loss_of_its_own_with_a_gradient(schedule, prediction, loss):
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (6, 1, 4, 4), generator=draw) / 8 - 1
    eps = torch.randn(x0.shape, generator=draw)
    t = torch.tensor([1, 2, 10, 100, 999, 1000], dtype=torch.float64) / schedule.T
    denoise = Denoiser(Line(), schedule, prediction)
    noised = Noised(x0, eps, t, diffuse(schedule, x0, eps, t))
    value = loss(denoise, noised, schedule)
    assert value.shape == (6,)
    assert value.dtype == torch.float32
    assert value.isfinite().all()
    alone = torch.cat([loss(denoise, Noised(*(part[i : i + 1] for part in noised)), schedule) for i in range(6)])
    torch.testing.assert_close(alone, value, rtol=1e-4, atol=1e-6)
    value.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite() and p.grad != 0 for p in denoise.parameters())
