import pytest
import torch

from difflab.losses import Noised, Simple
from difflab.prediction import X0, Denoiser, Eps, V
from difflab.process import diffuse
from tests.conftest import Formula, every


@pytest.mark.parametrize("schedule", every("schedule"))
def test_it_is_the_noise_error_in_the_units_of_each_output(schedule):
    """|eps error|^2 = SNR |x0 error|^2 = SNR / (SNR + 1) |v error|^2."""
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 60, 2, 3, dtype=torch.float64, generator=draw)
    t = torch.linspace(schedule.t_min, 1, 60, dtype=torch.float64)
    x_t, at = diffuse(schedule, x0, eps, t), schedule.marginal(t)
    noised, snr = Noised(x0, eps, t, x_t), at.log_snr.exp()
    v = at.alpha[:, None, None] * eps - at.sigma[:, None, None] * x0
    for parameterisation, target, weight in ((Eps(), eps, 1), (X0(), x0, snr), (V(), v, snr / (1 + snr))):
        found = Simple()(Denoiser(Formula(lambda x, t: output), schedule, parameterisation), noised, schedule)
        expected = weight * (output - target).square().flatten(1).mean(1)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=0)
