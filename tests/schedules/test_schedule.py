"""What holds for every schedule that has a YAML, and for every warp of every variance-preserving one."""

from copy import deepcopy

import pytest
import torch

from difflab.process import transition
from difflab.runs.build import build
from difflab.schedules import Geometric, Learned, Warp
from tests.conftest import composed, every, options

SHAPE = (3, 64, 36)  # of the images that a warp is made for
TOWARDS = torch.tensor([torch.inf, 1e4, -1e4, -torch.inf], dtype=torch.float64)


def preserves_variance(schedule):
    alpha, sigma, _ = schedule.marginal(torch.full((), 0.5, dtype=torch.float64))
    return abs(float(alpha.detach() ** 2 + sigma.detach() ** 2) - 1) < 1e-3


def warped():
    """Each warp that has a YAML, of each schedule that it can be of."""
    for warp in options("warp"):
        node = composed(f"warp={warp}").warp
        for parameter in every("schedule"):
            (schedule,) = parameter.values
            if node["_target_"] is not None and preserves_variance(schedule):
                yield pytest.param(build(node, "warp", schedule=schedule, shape=SHAPE), id=f"{warp} of {parameter.id}")


LADDER = pytest.param(Geometric(sigma_min=0.01, sigma_max=1.0, L=10), id="ladder")
SCHEDULES = [*every("schedule"), LADDER, *warped()]


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return request.param


@pytest.fixture(autouse=True)
def no_graph():
    """A learned schedule has parameters; what is compared here has none."""
    with torch.no_grad():
        yield


def inside(schedule, points=999):
    return torch.linspace(schedule.t_min, 1, points, dtype=torch.float64)


def before_the_end(schedule):
    """Without t = 1, where alpha may be 0."""
    return inside(schedule)[:-1]


def off_the_knots(schedule):
    steps = schedule.T or 1000
    return (torch.arange(1, steps, dtype=torch.float64) + 0.5) / steps


def random_times(schedule, number):
    """`number` rising times, [200] each; the last are 1 in the first half of them."""
    u = torch.rand(200, number, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).sort(1).values
    u[:100, -1] = 1
    return (schedule.t_min + (1 - schedule.t_min) * u).unbind(1)


def test_the_warps_are_here():
    assert sum(isinstance(parameter.values[0], Warp) for parameter in SCHEDULES) >= 2 * 6


def test_time_inverts_log_snr(schedule):
    t = inside(schedule)
    torch.testing.assert_close(schedule.time(schedule.marginal(t).log_snr), t, atol=1e-9, rtol=0)


def test_log_snr_inverts_time(schedule):
    ends = schedule.marginal(inside(schedule, 11)).log_snr
    log_snr = torch.linspace(float(ends[0]), max(float(ends[-1]), -20.0), 101, dtype=torch.float64)
    torch.testing.assert_close(schedule.marginal(schedule.time(log_snr)).log_snr, log_snr, atol=1e-8, rtol=0)


def test_time_stays_inside(schedule):
    t = schedule.time(TOWARDS)
    expected = torch.tensor([schedule.t_min] * 2 + [1.0] * 2, dtype=torch.float64)
    torch.testing.assert_close(t, expected, atol=1e-12, rtol=0)
    assert t.min() >= schedule.t_min and t.max() <= 1


def test_log_snr_falls_and_is_finite_where_alpha_is_not_zero(schedule):
    alpha, sigma, log_snr = schedule.marginal(inside(schedule))
    assert (sigma > 0).all() and sigma.isfinite().all()
    assert (alpha[:-1] > 0).all()
    assert log_snr[:-1].isfinite().all()
    assert (log_snr.diff() < 0).all()
    assert float(log_snr[-1]) == -torch.inf if alpha[-1] == 0 else alpha[-1] > 0


def test_log_snr_is_that_of_alpha_and_sigma(schedule):
    alpha, sigma, log_snr = schedule.marginal(inside(schedule))
    torch.testing.assert_close(log_snr, 2 * (alpha.log() - sigma.log()), atol=1e-10, rtol=1e-12)


def test_the_prior_has_the_deviation_of_the_noisiest_state(schedule):
    """What is left of the signal adds little to it; where the variance is preserved, nothing."""
    alpha, sigma, _ = schedule.marginal(torch.ones((), dtype=torch.float64))
    assert float(sigma) == pytest.approx(schedule.prior_std, rel=0.004)
    if preserves_variance(schedule):
        assert float(alpha**2 + sigma**2) == pytest.approx(1, abs=1e-12)


def test_coefficients_are_float64_of_the_shape_of_t(schedule):
    for t in (torch.tensor(0.5), torch.rand(3).clamp(min=schedule.t_min), torch.full((2, 3), 0.25)):
        at = schedule.marginal(t)
        for found in (*at, schedule.time(at.log_snr), schedule.slope(t), schedule.snr_slope(t)):
            assert found.dtype == torch.float64
            assert found.shape == t.shape


def test_casting_the_module_keeps_the_coefficients(schedule):
    t = inside(schedule)
    cast = deepcopy(schedule).to(torch.bfloat16)
    for ours, theirs in zip(schedule.marginal(t), cast.marginal(t), strict=True):
        assert torch.equal(ours, theirs)


def test_slope_is_the_limit_of_differences(schedule):
    t, h = off_the_knots(schedule), 1e-3 / (schedule.T or 1000)
    difference = (schedule.marginal(t + h).log_snr - schedule.marginal(t - h).log_snr) / (2 * h)
    torch.testing.assert_close(schedule.slope(t), difference, rtol=1e-5, atol=0)
    assert (schedule.slope(before_the_end(schedule)) < 0).all()


def test_snr_slope_is_that_of_the_chain_rule_and_finite_at_one(schedule):
    t = off_the_knots(schedule)
    expected = schedule.marginal(t).log_snr.exp() * schedule.slope(t)
    torch.testing.assert_close(schedule.snr_slope(t), expected, rtol=1e-9, atol=0)
    one = torch.ones(2, dtype=torch.float64)
    alpha, _, log_snr = schedule.marginal(one)
    expected = torch.where(alpha == 0, 0.0, log_snr.exp() * schedule.slope(one))
    torch.testing.assert_close(schedule.snr_slope(one), expected, rtol=1e-9, atol=0)
    assert (schedule.slope(one) == -torch.inf).equal(alpha == 0)


@pytest.mark.parametrize("name", ["slope", "snr_slope"])
def test_slopes_in_every_gradient_mode(schedule, name):
    t = off_the_knots(schedule)[::50]
    expected = getattr(schedule, name)(t)
    with torch.inference_mode():
        assert torch.equal(getattr(schedule, name)(t.clone()), expected)
    with torch.enable_grad():
        found = getattr(schedule, name)(t)
        assert torch.equal(found.detach(), expected)
        assert found.requires_grad == any(True for _ in schedule.parameters())
        live = t.clone().requires_grad_()
        second = torch.autograd.grad((getattr(schedule, name)(live) + 0 * live).sum(), live)[0]
    h = 1e-6 * t if schedule.T is None else torch.full_like(t, 1e-3 / schedule.T)
    around = [getattr(schedule, name)(t + side * h) for side in (1, -1)]
    torch.testing.assert_close(second, (around[0] - around[1]) / (2 * h), rtol=1e-4, atol=1e-3)


def test_transitions_and_posteriors_fit_the_marginals(schedule):
    s, t = random_times(schedule, 2)
    (alpha_s, sigma_s, _), (alpha_t, sigma_t, _) = schedule.marginal(s), schedule.marginal(t)
    step = transition(schedule, s, t)
    torch.testing.assert_close(step.alpha_ts * alpha_s, alpha_t, rtol=1e-12, atol=0)
    torch.testing.assert_close(step.var_ts / sigma_t**2, 1 - (step.alpha_ts * sigma_s / sigma_t) ** 2)
    torch.testing.assert_close(step.of_xt * alpha_t + step.of_x0, alpha_s, rtol=1e-9, atol=0)
    torch.testing.assert_close(step.of_xt**2 * sigma_t**2 + step.posterior_var, sigma_s**2, rtol=1e-9, atol=0)


def test_transitions_compose(schedule):
    """The chain respaced by leaving out a time has the transition of both its steps."""
    r, s, t = random_times(schedule, 3)
    rs, st, rt = transition(schedule, r, s), transition(schedule, s, t), transition(schedule, r, t)
    torch.testing.assert_close(rs.alpha_ts * st.alpha_ts, rt.alpha_ts, rtol=1e-12, atol=0)
    torch.testing.assert_close(st.var_ts + st.alpha_ts**2 * rs.var_ts, rt.var_ts, rtol=1e-9, atol=0)


def test_betas_of_a_chain_recomputed_from_a_respaced_grid(schedule):
    """1 - beta of a long step is the product of those of its short steps."""
    if schedule.T is None:
        pytest.skip("continuous time has no betas")
    k = torch.arange(1, schedule.T + 1, dtype=torch.float64)
    fine = 1 - (schedule.marginal(k[1:] / schedule.T).alpha / schedule.marginal(k[:-1] / schedule.T).alpha) ** 2
    sub = k[::37] / schedule.T
    coarse = 1 - transition(schedule, sub[:-1], sub[1:]).alpha_ts ** 2
    products = (1 - fine)[: 37 * len(coarse)].reshape(-1, 37).prod(1)
    torch.testing.assert_close(coarse, 1 - products, rtol=1e-9, atol=1e-12)


def test_only_what_is_learned_has_parameters(schedule):
    learned = any(isinstance(module, Learned) for module in schedule.modules())
    assert (len(list(schedule.parameters())) > 0) == learned
