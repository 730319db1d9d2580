"""The weight of each loss on the error in eps, against closed forms."""

import math
from types import SimpleNamespace

import pytest
import torch

from difflab.distributions import Gaussian
from difflab.losses import EDM, P2, SNR, MinSNR, Noised, Simple, SoftMinSNR
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.schedules import Geometric
from tests.conftest import Formula, every, option, options

pytestmark = pytest.mark.slow  # every weight on every schedule with every prediction


def plain(c):
    """(eps error / error of the output)^-2, written out for each prediction."""
    a, s = c.alpha, c.sigma
    return {
        "eps": torch.ones_like(a),
        "score": torch.ones_like(a),
        "direct_score": 1 / s**2,
        "x0": s**2 / a**2,
        "v": ((a**2 + s**2) / a) ** 2,
        "edm": (0.25 * a**2 + s**2) / (0.25 * a**2),
        "flow": (1 + s / a) ** 2,
    }[c.prediction]


def bound(c):
    """1/2 expm1(log_snr(t_{k-1}) - log_snr(t_k)), or -1/2 d log_snr/dt by central differences."""
    if c.schedule.T is not None:
        before = c.schedule.marginal(c.t - 1 / c.schedule.T).log_snr
        return c.schedule.T * 0.5 * torch.expm1(before - c.log_snr) / math.log(2)
    h = 1e-5 * (1.0001 - c.t).clamp(max=1) * c.t.clamp(min=0.1)
    ahead, behind = (c.schedule.marginal(c.t + sign * h).log_snr for sign in (1, -1))
    return -0.5 * (ahead - behind) / (2 * h) * (1 - c.schedule.t_min) / math.log(2)


CLOSED = {
    "simple": lambda c: torch.ones_like(c.snr),
    "snr": lambda c: torch.ones_like(c.snr),
    "output": plain,
    "score": lambda c: 0.5 / c.sigma,
    "truncated_snr": lambda c: torch.where(c.snr > 1, 1, 1 / c.snr),
    "min_snr": lambda c: torch.where(c.snr < 5, c.snr, 5) / c.snr,
    "soft_min_snr": lambda c: 5 / (c.snr + 5),
    "p2": lambda c: 1 / (1 + c.snr),
    "edm": lambda c: ((c.sigma / c.alpha) ** 2 + 0.25) / 0.25,
    "vlb": bound,
}
OWN_TEST = {"hybrid", "uncertainty", "explicit", "implicit", "sliced", "sliced_vr"}


def test_every_loss_has_a_closed_form_or_a_test_of_its_own():
    assert set(options("loss")) == CLOSED.keys() | OWN_TEST


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("prediction", options("prediction"))
@pytest.mark.parametrize("schedule", every("schedule"))
def test_its_weight_on_the_error_in_eps(schedule, prediction, name):
    schedule.requires_grad_(False)  # a learned one adds terms of its own to the bound
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 40, 2, 3, dtype=torch.float64, generator=draw)
    if schedule.T is not None:
        t = torch.linspace(2, schedule.T, 40).round().double() / schedule.T
    else:
        t = schedule.t_min + (1 - schedule.t_min) * torch.linspace(0.01, 0.99, 40, dtype=torch.float64)
    alpha, sigma, log_snr = schedule.marginal(t)
    snr = (alpha / sigma) ** 2
    assert snr.max() > 1 > snr.min()  # both sides
    case = SimpleNamespace(
        schedule=schedule, prediction=prediction, t=t, alpha=alpha, sigma=sigma, snr=snr, log_snr=log_snr
    )
    parameterisation = option("prediction", prediction, sigma_data=0.5)
    denoise = Denoiser(Formula(lambda x, t: output), schedule, parameterisation)
    noised = Noised(x0, eps, t, diffuse(schedule, x0, eps, t))
    loss = option("loss", name, levels=17, sigma_data=0.5)
    expected = CLOSED[name](case)
    error = Simple()(denoise, noised, schedule)
    torch.testing.assert_close(loss(denoise, noised, schedule), expected * error, rtol=1e-6, atol=0)
    torch.testing.assert_close(loss.weight(denoise, t), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("loss", "closed"),
    [
        (MinSNR(1.5), lambda snr: (1.5 / snr).clamp(max=1)),
        (MinSNR(0.2), lambda snr: (0.2 / snr).clamp(max=1)),
        (SoftMinSNR(0.7), lambda snr: 0.7 / (snr + 0.7)),
        (P2(0.3, 2.5), lambda snr: (0.3 + snr) ** -2.5),
        (EDM(1.7), lambda snr: 1 + 1 / (1.7**2 * snr)),
    ],
)
def test_other_values_of_its_parameters(loss, closed):
    schedule = option("schedule", "cosine")
    t = torch.linspace(1, 1000, 30, dtype=torch.float64).round() / 1000
    denoise = Denoiser(Formula(lambda x, t: x), schedule, option("prediction", "v"))
    x0, eps = torch.randn(2, 30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noised = Noised(x0, eps, t, diffuse(schedule, x0, eps, t))
    expected = closed(schedule.marginal(t).log_snr.exp())
    error = Simple()(denoise, noised, schedule)
    torch.testing.assert_close(loss(denoise, noised, schedule), expected * error, rtol=1e-6, atol=0)
    torch.testing.assert_close(loss.weight(denoise, t), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("t", "prediction"), [(0.0, "eps"), (1.0, "x0")])
def test_single_precision_is_enough_at_both_ends(t, prediction):
    """Noise of 1e-5 beside x_0 would have two digits left, and so would x_0 beside noise of 1e5."""
    schedule = Geometric(1e-5, 1e5, L=None)
    draw = torch.Generator().manual_seed(0)
    x0, eps, output = torch.randn(3, 20, 50, generator=draw)
    t = torch.full((20,), t, dtype=torch.float64)
    near = {"eps": eps, "x0": x0}[prediction] + 0.1 * output
    denoise = Denoiser(Formula(lambda x, t: near.to(x)), schedule, option("prediction", prediction))
    losses = []
    for dtype in (torch.float32, torch.float64):
        noised = Noised(x0.to(dtype), eps.to(dtype), t, diffuse(schedule, x0.to(dtype), eps.to(dtype), t))
        losses.append(SNR()(denoise, noised, schedule))
    torch.testing.assert_close(losses[0].double(), losses[1], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", sorted(options("loss")))
def test_the_network_is_called_once(name):
    calls = []

    def network(x, t):
        calls.append(len(x))
        return torch.cat([x, x], dim=1) if name == "hybrid" else x

    schedule = option("schedule", "linear")
    law = Gaussian(torch.zeros(1, 2), 0.25)
    loss = option("loss", name, levels=17, sigma_data=0.5, distribution=law)
    x0, eps, t = torch.zeros(5, 1, 2), torch.ones(5, 1, 2), torch.arange(1, 6, dtype=torch.float64) / 5
    denoise = Denoiser(Formula(network), schedule, option("prediction", "eps"))
    loss(denoise, Noised(x0, eps, t, diffuse(schedule, x0, eps, t), lambda: eps), schedule)
    assert calls == [5]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MinSNR(0.0), "loss.gamma"),
        (lambda: SoftMinSNR(-1.0), "loss.gamma"),
        (lambda: P2(0.0, 1.0), "loss.k"),
        (lambda: P2(1.0, 0.0), "loss.gamma"),
        (lambda: EDM(0.0), "loss.sigma_data"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(ValueError, match=field):
        make()
