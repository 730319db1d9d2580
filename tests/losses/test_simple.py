import pytest
import torch

from difflab.losses import Noised, Simple
from difflab.prediction import Denoiser
from difflab.process import diffuse
from tests.conftest import Formula, every, option, options


def targets(alpha, sigma, x0, eps):
    """The output that each prediction stands for, and (eps error / its error)^2; data of std 0.5."""
    norm = (0.25 * alpha**2 + sigma**2).sqrt()
    return {
        "eps": (eps, torch.ones_like(alpha)),
        "score": (-eps, torch.ones_like(alpha)),
        "direct_score": (-eps / sigma, sigma**2),
        "x0": (x0, (alpha / sigma) ** 2),
        "v": (alpha * eps - sigma * x0, (alpha / (alpha**2 + sigma**2)) ** 2),
        "edm": ((sigma * x0 - 0.25 * alpha * eps) / (0.5 * norm), (0.5 * alpha / norm) ** 2),
        "flow": (eps - x0, (alpha / (alpha + sigma)) ** 2),
    }


@pytest.mark.parametrize("name", options("prediction"))
@pytest.mark.parametrize("schedule", every("schedule"))
def test_it_is_the_noise_error_in_the_units_of_each_output(schedule, name):
    """|eps error|^2 = SNR |x0 error|^2 = SNR / (SNR + 1) |v error|^2 and so on."""
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 60, 2, 3, dtype=torch.float64, generator=draw)
    t = torch.linspace(schedule.t_min, 0.999, 60, dtype=torch.float64)
    x_t = diffuse(schedule, x0, eps, t)
    alpha, sigma = (c.detach().reshape(-1, 1, 1) for c in schedule.marginal(t)[:2])
    target, factor = targets(alpha, sigma, x0, eps)[name]
    denoise = Denoiser(Formula(lambda x, t: output), schedule, option("prediction", name, sigma_data=0.5))
    found = Simple()(denoise, Noised(x0, eps, t, x_t), schedule)
    expected = (factor * (output - target).square()).flatten(1).mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)
