"""Each solver converges to the probability-flow ODE at its own order, in as many network calls as it says."""

import math

import pytest
import torch

from difflab.models import Mixture, Oracle
from difflab.prediction import X0, Denoiser
from difflab.process import Posterior
from difflab.samplers import DDIM, DPMSolver, Heun, LogSNR, UniPC, Walk
from difflab.schedules import VP, Geometric
from tests.conftest import every, gaussian_denoiser

pytestmark = pytest.mark.slow  # long grids

SCHEDULE = VP(beta_min=0.1, beta_max=20.0, t_min=1e-3)
WEIGHTS, MEANS, STDS = (torch.tensor(c, dtype=torch.float64) for c in ([0.3, 0.7], [-0.5, 0.4], [0.15, 0.25]))
START = torch.randn(1000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
GRID = LogSNR(lowest=-10.0)

ORDERS = {
    "ddim": (DDIM(GRID, None, False, 0.0, Posterior()), 1),
    "heun": (Heun(GRID, None, False, 0.0, 0.0, math.inf, 1.0), 2),
    "2M": (DPMSolver(GRID, None, False, 2, False, "corrected"), 2),
    "3M published": (DPMSolver(GRID, None, False, 3, False, "published"), 2),
    "3M corrected": (DPMSolver(GRID, None, False, 3, False, "corrected"), 3),
    "unipc 2": (UniPC(GRID, None, False, 2), 3),
    "unipc 3": (UniPC(GRID, None, False, 3), 4),
}


@pytest.fixture(scope="module")
def exact():
    """The states at t_min: y = x/sigma obeys dy/dl = e^l x0_hat in l = log_snr/2, by Runge-Kutta of order 4."""

    def slope(y, snr_root):
        # of x/sigma = (alpha/sigma) x_0 + eps, with Bayes' rule written out
        variance = snr_root**2 * STDS**2 + 1
        gap = y - snr_root * MEANS
        chance = (WEIGHTS / variance.sqrt() * torch.exp(-(gap**2) / (2 * variance))).double()
        x0 = MEANS + snr_root * STDS**2 / variance * gap
        return snr_root * (chance * x0).sum(1, keepdim=True) / chance.sum(1, keepdim=True)

    at = SCHEDULE.marginal(torch.tensor([1.0, SCHEDULE.t_min], dtype=torch.float64))
    half = torch.linspace(float(at.log_snr[0]) / 2, float(at.log_snr[1]) / 2, 2 * 2000 + 1, dtype=torch.float64)
    h, roots = half[2] - half[0], half.exp()
    y = START / at.sigma[0]
    for i in range(0, len(roots) - 1, 2):
        k1 = slope(y, roots[i])
        k2 = slope(y + h / 2 * k1, roots[i + 1])
        k3 = slope(y + h / 2 * k2, roots[i + 1])
        k4 = slope(y + h * k3, roots[i + 2])
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y * at.sigma[1]


def order_of(sampler, start, counts, backwards, goal):
    """The slope of log RMS error over log steps, between the two ends of the schedule, with equal gaps in log_snr.

    Without the step from t_min to data.
    """
    denoise, errors = Denoiser(Oracle(Mixture(WEIGHTS, MEANS[:, None], STDS**2), X0()), SCHEDULE, X0()), []
    for steps in counts:
        times = GRID(SCHEDULE, steps + 1)
        walk = Walk(denoise, SCHEDULE, None, None)
        x = sampler.travel(walk, start, times.flip(0) if backwards else times, lambda: torch.zeros_like(start))
        errors.append((x - goal).square().mean().sqrt())
    n, error = torch.tensor(counts).double().log(), torch.stack(errors).log()
    return -float(((n - n.mean()) * (error - error.mean())).sum() / (n - n.mean()).square().sum())


@pytest.mark.parametrize(("sampler", "order"), ORDERS.values(), ids=ORDERS)
def test_order_of_sampling(sampler, order, exact):
    assert order_of(sampler, START, (160, 320, 640), False, exact) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name", ["ddim", "2M", "unipc 2"])
def test_order_of_encoding(name, exact):
    """The other way: from the states at t_min to the fixed x_1.

    Third order is not seen there: x0_hat varies at t_min already, in a first step of order 1 without a correction.
    """
    sampler, order = ORDERS[name]
    assert order_of(sampler, exact, (80, 160, 320), True, START) == pytest.approx(order, abs=0.2)


LADDER = Geometric(sigma_min=0.01, sigma_max=50.0, L=12)


@pytest.mark.parametrize("sampler", every("sampler"))
def test_calls_and_repetition(sampler):
    """As many network calls as are reported; a deterministic sampler is bit-equal run to run, and draws its start only.

    A stochastic one is not: its noise differs.
    """
    calls, drawn = [], []
    denoise = gaussian_denoiser(LADDER, 0.3, 0.5)
    denoise.register_forward_hook(lambda *_: calls.append(1))
    draw = torch.Generator().manual_seed(0)

    def noise():
        drawn.append(1)
        return torch.randn(4, 3, dtype=torch.float64, generator=draw)

    runs = [sampler.sample(denoise, LADDER, noise, start=50 * START[:12].reshape(4, 3)) for _ in range(2)]
    assert torch.equal(*runs) == sampler.deterministic
    assert (len(drawn) == 0) == sampler.deterministic
    assert sampler.calls(LADDER) in (None, len(calls) // 2)
