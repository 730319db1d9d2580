"""The density along the probability-flow ODE, against the exact density of x at t_min."""

import math

import pytest
import torch

from difflab.likelihood.ode import Course, ProbabilityFlow, bits_per_dim
from difflab.models import Gaussian, Mixture, Oracle
from difflab.prediction import Denoiser, V
from difflab.process import expand
from tests.conftest import every, option

pytestmark = pytest.mark.slow  # many small solves

MIXTURE = Mixture([0.2, 0.8], [[-0.6, 0.5], [0.15, -0.125]], [[0.01, 0.02], [[0.05, 0.02], [0.02, 0.04]]])
GAUSSIAN = Gaussian([0.0, 0.0], 0.25)
SLACK = 1e-4  # bits/dim


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def denoiser(schedule, distribution):
    return Denoiser(Oracle(distribution, V()), schedule, V())


def normal(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def at(schedule, t, n):
    return schedule.marginal(torch.full((n,), t, dtype=torch.float64))


def noisy(schedule, distribution, n=50):
    """Draws of x at t_min, and its exact log-density there."""
    first = at(schedule, schedule.t_min, n)
    x0 = distribution.sample(n, torch.Generator().manual_seed(0))
    x = expand(first.alpha, x0) * x0 + expand(first.sigma, x0) * normal(1, *x0.shape)
    return x, distribution.log_density(x, first)


def bits(nats, dimensions=2):
    return float(nats.abs().max()) / dimensions / math.log(2)


def exact_flow(tolerance=1e-6):
    return ProbabilityFlow(tolerance, tolerance, None)


# Ends at which N(0, prior_std^2) is the marginal to 1e-5 bits/dim at every point of the test: alpha(1) = 5e-4, or
# sigma(1) = 500 times the data. The flow ends in the prior itself. With the defaults the mismatch shows; see below.
FAR = {
    "vp": ["schedule.beta_max=30"],
    "subvp": ["schedule.beta_max=30"],
    "geometric": ["schedule.sigma_max=500"],
    "karras": ["schedule.sigma_max=500"],
    "flow": [],
    "cosine": [],
}


@pytest.mark.parametrize("distribution", [MIXTURE, GAUSSIAN], ids=["mixture", "gaussian"])
@pytest.mark.parametrize("name", FAR)
def test_each_point_has_the_exact_density_of_x_at_t_min(name, distribution):
    schedule = option("schedule", name, *FAR[name])
    x, wanted = noisy(schedule, distribution)
    found = exact_flow().log_density(denoiser(schedule, distribution), schedule, x, lambda: x)
    assert found.shape == (1, 50)
    assert bits(found[0] - wanted) < SLACK


@pytest.mark.parametrize("schedule", every("schedule"))
def test_what_else_there_is_comes_from_the_prior(schedule):
    """On N(0, 1/4) the end of the flow is known, and with it log prior(x_1) - log q(x_1), on every schedule."""
    x, wanted = noisy(schedule, GAUSSIAN)
    first, last = at(schedule, schedule.t_min, 50), at(schedule, 1.0, 50)
    scale = ((0.25 * last.alpha**2 + last.sigma**2) / (0.25 * first.alpha**2 + first.sigma**2)).sqrt()
    end = expand(scale, x) * x
    prior = -0.5 * (end / schedule.prior_std).square() - math.log(schedule.prior_std * math.sqrt(2 * math.pi))
    mismatch = prior.sum(1) - GAUSSIAN.log_density(end, last)
    found = exact_flow().log_density(denoiser(schedule, GAUSSIAN), schedule, x, lambda: x)[0]
    assert bits(found - wanted - mismatch) < SLACK


@pytest.mark.parametrize("schedule", every("schedule"))
def test_the_course_is_the_probability_flow(schedule):
    """dx/dt = alpha' x0_hat + sigma' eps_hat, by differences along x = sqrt(alpha^2 + sigma^2) y at some time."""
    t, h = torch.tensor(0.4, dtype=torch.float64), 1e-5
    course = Course(schedule, torch.tensor([1.0, schedule.t_min], dtype=torch.float64), torch.device("cpu"))
    before, now, after = (schedule.marginal(t + d) for d in (-h, 0, h))
    w = [torch.asinh(m.alpha / m.sigma) for m in (before, now, after)]
    norm = [(m.alpha**2 + m.sigma**2).sqrt() for m in (before, now, after)]
    x, x0 = normal(0, 5), normal(1, 5)
    eps = (x - now.alpha * x0) / now.sigma
    rate = ((after.alpha - before.alpha) * x0 + (after.sigma - before.sigma) * eps) / (2 * h)
    y = x / norm[1]
    ours = (norm[2] - norm[0]) / (2 * h) * y + norm[1] * (w[2] - w[0]) / (2 * h) * (x0 - w[1].tanh() * y)
    torch.testing.assert_close(ours, rate, rtol=1e-6, atol=1e-6 * float(rate.abs().max()))
    found = course.at(w[1])
    assert float(found[0]) == pytest.approx(0.4, abs=1e-8)
    assert float(found[1]) == pytest.approx(float(norm[1]), rel=1e-8)


def test_probes_estimate_the_trace_without_bias():
    """Each copy of a point has probes of its own."""
    schedule, copies = option("schedule", "vp"), 400
    x, _ = noisy(schedule, MIXTURE, 2)
    denoise, draws = denoiser(schedule, MIXTURE), torch.Generator().manual_seed(2)
    wanted = exact_flow().log_density(denoise, schedule, x, lambda: x)[0]
    many = x.repeat_interleave(copies, 0)
    noise = lambda: torch.randn(many.shape, dtype=torch.float64, generator=draws)  # noqa: E731
    rows = ProbabilityFlow(1e-6, 1e-6, 2).log_density(denoise, schedule, many, noise)
    assert rows.shape == (2, 2 * copies)
    assert not torch.equal(rows[0], rows[1])
    estimates = rows.reshape(2, 2, copies).permute(1, 0, 2).flatten(1)
    error = estimates.std(1) / math.sqrt(2 * copies)
    assert (error > 1e-3).all()
    assert ((estimates.mean(1) - wanted).abs() < 4 * error).all()


def test_in_one_dimension_every_probe_is_exact():
    schedule, distribution = option("schedule", "vp"), Mixture([1, 2], [[-0.5], [0.4]], [0.02, 0.05])
    x, _ = noisy(schedule, distribution, 20)
    denoise = denoiser(schedule, distribution)
    one = exact_flow().log_density(denoise, schedule, x, lambda: x)
    three = ProbabilityFlow(1e-6, 1e-6, 3).log_density(denoise, schedule, x, lambda: normal(3, 20, 1))
    torch.testing.assert_close(three, one.expand(3, 20), rtol=0, atol=1e-9)


def test_the_density_integrates_to_one():
    schedule, distribution = option("schedule", "flow"), Mixture([1, 2], [[-0.5], [0.4]], [0.02, 0.05])
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)[:, None]
    log_p = ProbabilityFlow(1e-5, 1e-5, None).log_density(denoiser(schedule, distribution), schedule, x, lambda: x)[0]
    assert float(log_p.exp().sum() * 0.02) == pytest.approx(1, abs=1e-4)


def test_a_network_in_single_precision_costs_little():
    schedule = option("schedule", "vp", *FAR["vp"])
    x, wanted = noisy(schedule, MIXTURE)
    seen, inner = [], denoiser(schedule, MIXTURE)

    def denoise(x, t):
        seen.append(x.dtype)
        return inner(x, t)

    found = ProbabilityFlow(1e-5, 1e-5, None).log_density(denoise, schedule, x.float(), lambda: x)
    assert set(seen) == {torch.float32}
    assert found.dtype == torch.float64
    assert bits(found[0] - wanted) < 2e-3


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_caller_may_be_in_any_mode_of_autograd(mode):
    with torch.inference_mode(False), mode():
        schedule = option("schedule", "learned")
        x, _ = noisy(schedule, MIXTURE, 5)
        found = exact_flow(1e-3).log_density(denoiser(schedule, MIXTURE), schedule, x, lambda: x)
        assert not found.requires_grad
        assert found.isfinite().all()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_data_costs_the_logarithm_of_its_levels(levels):
    """Dequantised it fills levels bins of width 2/(levels - 1) evenly, in each of 5 dimensions."""
    log_p = torch.tensor([-5 * math.log(levels * 2 / (levels - 1))], dtype=torch.float64)
    assert float(bits_per_dim(log_p, 5, levels)) == pytest.approx(math.log2(levels), rel=1e-12)


@pytest.mark.parametrize(
    ("rtol", "atol", "field"), [(0.0, 1e-5, "rtol"), (1e-5, 1.0, "atol"), (math.nan, 1e-5, "rtol")]
)
def test_tolerances_that_no_solver_keeps_are_refused(rtol, atol, field):
    with pytest.raises(ValueError, match=rf"^likelihood\.{field}: "):
        ProbabilityFlow(rtol, atol, None)


def test_no_probes_are_refused():
    with pytest.raises(ValueError, match=r"^likelihood\.probes: 0; "):
        ProbabilityFlow(1e-5, 1e-5, 0)


def test_it_starts_at_any_time_and_says_how_far_it_has_come():
    schedule, shares = option("schedule", "vp", *FAR["vp"]), []
    x0, t = MIXTURE.sample(30, torch.Generator().manual_seed(0)), 0.2
    there = at(schedule, t, 30)
    x = expand(there.alpha, x0) * x0 + expand(there.sigma, x0) * normal(1, *x0.shape)
    oracle = denoiser(schedule, MIXTURE)
    found = exact_flow().log_density(oracle, schedule, x, lambda: x, t, shares.append)
    assert bits(found[0] - MIXTURE.log_density(x, there)) < SLACK
    assert (shares[0], max(shares)) == (0, pytest.approx(1))
    assert len(shares) > 20
