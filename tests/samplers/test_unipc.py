import math

import numpy
import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.samplers import LogSNR, Uniform, UniPC, Walk
from difflab.schedules import VP, Flow, ZeroTerminalSnr
from tests.conftest import Formula, gaussian_denoiser, option

SCHEDULE = VP(beta_min=0.1, beta_max=20.0, t_min=1e-3)
NO_SIGNAL = {"flow": Flow(t_min=1e-3), "zero terminal snr": ZeroTerminalSnr(option("schedule", "linear"))}


class Remembering(UniPC):
    """Keeps the corrected state of each visit."""

    def step(self, x, prediction, step, noise):
        x_s = super().step(x, prediction, step, noise)
        self.corrected.append(step.past[-1].x)
        return x_s


def errors(order, degree, steps=20):
    """Of each prediction and correction by itself, where x0_hat is a polynomial in l = log_snr/2 and ignores x.

    Both start from the corrected state of the visit before; the linear equation is solved by quadrature.
    """
    coefficients = [0.3, -0.2, 0.15, 0.1][: degree + 1]

    def value(half):
        return sum((c * half**j for j, c in enumerate(coefficients)), torch.zeros_like(half))

    formula = Formula(lambda x, t: value(SCHEDULE.marginal(t).log_snr / 2)[:, None].expand_as(x))
    sampler = Remembering(Uniform(), steps, False, order)
    sampler.corrected, predicted = [], []
    walk = Walk(Denoiser(formula, SCHEDULE, X0()), SCHEDULE, None, lambda state: predicted.append(float(state.x)))
    times, start = sampler.times(SCHEDULE), torch.ones(1, 1, dtype=torch.float64)
    sampler.travel(walk, start, times, lambda: start)
    corrected = [float(x) for x in sampler.corrected]

    node, weight = (torch.from_numpy(c) for c in numpy.polynomial.legendre.leggauss(30))
    alpha, sigma, log_snr = SCHEDULE.marginal(times)
    exact = []
    for i, x in enumerate(corrected):
        a, b = log_snr[i] / 2, log_snr[i + 1] / 2
        half = (a + b) / 2 + (b - a) / 2 * node
        inflow = alpha[i + 1] * (b - a) / 2 * (weight * torch.exp(half - b) * value(half)).sum()
        exact.append(float(sigma[i + 1] / sigma[i] * x + inflow))
    return (
        [abs(x - e) for x, e in zip(predicted, exact, strict=True)],
        [abs(x - e) for x, e in zip(corrected[1:], exact, strict=False)],
    )


def test_order_3_is_exact_for_polynomials():
    """Once it has its history: predictions for a quadratic, but at the last step; corrections for a cubic."""
    predictions, corrections = errors(3, 2)
    assert max(predictions[2:-1]) < 1e-12
    assert predictions[-1] > 1e-5
    assert max(corrections[2:]) < 1e-12
    predictions, corrections = errors(3, 3)
    assert min(predictions) > 1e-5
    assert max(corrections[2:]) < 1e-12


def test_corrections_of_order_2_are_exact_for_a_quadratic():
    """With one node more than the prediction, whose single weight is a half by choice."""
    predictions, corrections = errors(2, 2)
    assert min(predictions) > 1e-5
    assert max(corrections[1:]) < 1e-12
    assert min(errors(2, 3)[1]) > 1e-6


@pytest.mark.parametrize("name", NO_SIGNAL)
def test_more_orders_are_closer_where_there_is_no_signal_at_first(name):
    """alpha = 0 at t = 1: log_snr is -inf there, and everything stays finite."""
    schedule, found = NO_SIGNAL[name], []
    for order in (1, 2, 3):
        sampler = UniPC(LogSNR(lowest=-10.0), 20, False, order)
        x = sampler.sample(gaussian_denoiser(schedule, 0.0, 0.5), schedule, lambda: torch.ones(1, 1).double())
        found.append(abs(math.log(float(x) / 0.5)))
    assert found[0] < 0.1
    assert found[1] < found[0] / 2
    assert found[2] < found[1] / 2


@pytest.mark.parametrize("order", [0, 4])
def test_orders_that_do_not_exist_are_refused(order):
    with pytest.raises(ValueError, match=rf"^sampler\.order: {order}; allowed are 1, 2, 3$"):
        UniPC(Uniform(), 20, False, order)
