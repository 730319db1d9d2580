import numpy
import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.process import Posterior
from difflab.samplers import DDIM, Ancestral, DPMSolver, LogSNR, Uniform, Walk, encode
from difflab.schedules import VP, Flow, ZeroTerminalSnr
from tests.conftest import Formula, every, gaussian_denoiser, option

SMOOTH = VP(beta_min=0.1, beta_max=20.0, t_min=1e-3)
NO_SIGNAL = {"flow": Flow(t_min=1e-3), "zero terminal snr": ZeroTerminalSnr(option("schedule", "linear"))}


def solver(order, stochastic=False, variant="corrected", steps=20):
    return DPMSolver(LogSNR(lowest=-10.0), steps, False, order, stochastic, variant)


def noise_of(seed, *shape):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


def wave(schedule, size=6):
    """A denoiser that is not linear."""
    mix = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / size**0.5
    return Denoiser(Formula(lambda x, t: torch.sin(x @ mix + 3 * t[:, None])), schedule, X0())


def polynomial(schedule, degree):
    """A denoiser that ignores x: c_0 + c_1 l + ... + c_degree l^degree in l = log_snr/2; and that polynomial."""
    coefficients = [0.3, -0.2, 0.15, 0.1][: degree + 1]

    def value(half):
        return sum((c * half**j for j, c in enumerate(coefficients)), torch.zeros_like(half))

    formula = Formula(lambda x, t: value(schedule.marginal(t).log_snr / 2)[:, None].expand_as(x))
    return Denoiser(formula, schedule, X0()), value


def exact_step(x, at_t, at_s, value, rate):
    """The mean of x_s where x0_hat is this function of l: the linear equation solved, by quadrature.

    With rate 1 along the ODE, with 2 along the SDE: dx = (alpha'/alpha - rate l') x + rate alpha l' x0_hat.
    """
    node, weight = (torch.from_numpy(c) for c in numpy.polynomial.legendre.leggauss(30))
    start, end = at_t.log_snr / 2, at_s.log_snr / 2
    half = (start + end) / 2 + (end - start) / 2 * node
    inflow = (end - start) / 2 * (weight * rate * torch.exp(rate * (half - end)) * value(half)).sum()
    return at_s.alpha / at_t.alpha * torch.exp(-rate * (end - start)) * x + at_s.alpha * inflow


def errors_of_steps(sampler, degree, rate):
    """Of each step by itself, on a polynomial x0_hat, without noise and with unequal gaps in l."""
    sampler.grid = Uniform()
    denoise, value = polynomial(SMOOTH, degree)
    times, states = sampler.times(SMOOTH), [torch.ones(1, 1, dtype=torch.float64)]
    walk = Walk(denoise, SMOOTH, None, lambda state: states.append(state.x))
    sampler.travel(walk, states[0], times, lambda: torch.zeros(1, 1, dtype=torch.float64))
    at = [SMOOTH.marginal(t) for t in times]
    expected = [exact_step(x, at[i], at[i + 1], value, rate) for i, x in enumerate(states[:-1])]
    return [float((x - e).abs()) for x, e in zip(states[1:], expected, strict=True)]


@pytest.mark.parametrize(("stochastic", "rate"), [(False, 1), (True, 2)])
def test_order_1_is_exact_for_a_constant(stochastic, rate):
    assert max(errors_of_steps(solver(1, stochastic), 0, rate)) < 1e-12
    assert min(errors_of_steps(solver(1, stochastic), 1, rate)) > 1e-4


@pytest.mark.parametrize(("stochastic", "rate"), [(False, 1), (True, 2)])
def test_corrected_order_3_is_exact_for_a_quadratic(stochastic, rate):
    """Once it has its history; as published it is exact for what is linear only."""
    assert max(errors_of_steps(solver(3, stochastic), 2, rate)[2:]) < 1e-12
    assert max(errors_of_steps(solver(3, stochastic, "published"), 1, rate)[2:]) < 1e-12
    assert min(errors_of_steps(solver(3, stochastic, "published"), 2, rate)[2:]) > 1e-5
    assert min(errors_of_steps(solver(3, stochastic), 3, rate)[2:]) > 1e-5


@pytest.mark.parametrize("schedule", every("schedule"))
def test_order_1_is_a_sampler_that_is_known(schedule):
    """DDIM, and ancestral sampling with the posterior variance."""
    grid = LogSNR(lowest=-10.0)
    known = {False: DDIM(grid, 20, False, 0.0, Posterior()), True: Ancestral(grid, 20, False, Posterior())}
    for stochastic, other in known.items():
        with torch.no_grad():
            ours = solver(1, stochastic).sample(wave(schedule), schedule, noise_of(0, 4, 6))
            theirs = other.sample(wave(schedule), schedule, noise_of(0, 4, 6))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def std_of_gaussian_data(sampler, schedule, std):
    """Of what it makes of the exact denoiser of N(0, std^2): the steps are linear in the noise, so exactly."""
    calls = sampler.calls(schedule) + 1
    unit = iter(torch.eye(calls, dtype=torch.float64))
    weights = sampler.sample(gaussian_denoiser(schedule, 0.0, std), schedule, lambda: next(unit)[:, None])
    return float(weights.square().sum().sqrt())


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("name", NO_SIGNAL)
def test_more_orders_are_closer_where_there_is_no_signal_at_first(name, stochastic):
    """alpha = 0 at t = 1: log_snr is -inf there, and everything stays finite."""
    found = [std_of_gaussian_data(solver(order, stochastic), NO_SIGNAL[name], 0.5) for order in (1, 2, 3)]
    errors = [abs(std - 0.5) for std in found]
    assert max(errors[1:]) < errors[0] / 3


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", NO_SIGNAL)
def test_codes_of_gaussian_data_are_its_standard_scores(name, order):
    """Up to where alpha is 0, with 80 steps: the ODE maps quantiles to quantiles."""
    schedule, x0 = NO_SIGNAL[name], noise_of(3, 200, 1)()
    code = encode(solver(order, steps=80), gaussian_denoiser(schedule, 0.3, 0.5), schedule, 0.3 + 0.5 * x0)
    error = float((code - x0).square().mean().sqrt())
    assert error < {1: 0.05, 2: 2e-3, 3: 3e-4}[order]


def test_the_sde_cannot_encode():
    assert solver(2).deterministic
    with pytest.raises(ValueError, match="this one draws noise"):
        encode(solver(2, stochastic=True), wave(SMOOTH), SMOOTH, noise_of(3, 8, 6)())


@pytest.mark.parametrize("order", [0, 4, -1])
def test_orders_that_do_not_exist_are_refused(order):
    with pytest.raises(ValueError, match=rf"^sampler\.order: {order}; allowed are 1, 2, 3$"):
        solver(order)


def test_variants_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"^sampler\.variant: corect; allowed are corrected, published$"):
        solver(3, variant="corect")
