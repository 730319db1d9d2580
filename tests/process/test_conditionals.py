import pytest
import torch

from difflab.process import between, diffuse, expand, transition
from tests.conftest import Exploding, every

EVERY = every("schedule")
SCHEDULES = [*EVERY, pytest.param(Exploding(), id="exploding")]
CHAINS = [p for p in EVERY if p.values[0].T is not None]


@pytest.fixture(autouse=True)
def no_gradient():
    """A learned schedule is as good as any other here."""
    with torch.no_grad():
        yield


def random_times(schedule, number, seed=0):
    """`number` rising times, [200] each."""
    u = torch.rand(200, number, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).sort(1).values
    return (schedule.t_min + (1 - schedule.t_min) * u).unbind(1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_posterior_is_the_product_of_the_two_gaussians(schedule):
    """q(x_s | x_t, x_0) is proportional to q(x_t | x_s) q(x_s | x_0)."""
    s, t = random_times(schedule, 2)
    (alpha_s, sigma_s, _), (alpha_t, sigma_t, _) = schedule.marginal(s), schedule.marginal(t)
    alpha_ts = alpha_t / alpha_s
    var_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
    precision = 1 / sigma_s**2 + alpha_ts**2 / var_ts
    step = transition(schedule, s, t)
    torch.testing.assert_close(step.var_ts, var_ts, rtol=1e-8, atol=0)
    torch.testing.assert_close(step.posterior_var, 1 / precision, rtol=1e-8, atol=0)
    torch.testing.assert_close(step.of_xt, alpha_ts / var_ts / precision, rtol=1e-8, atol=0)
    torch.testing.assert_close(step.of_x0, alpha_s / sigma_s**2 / precision, rtol=1e-8, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_transitions_compose(schedule):
    """From r to s to t is from r to t, and from the data to s to t is q(x_t | x_0)."""
    r, s, t = random_times(schedule, 3)
    rs, st, rt = transition(schedule, r, s), transition(schedule, s, t), transition(schedule, r, t)
    torch.testing.assert_close(rs.alpha_ts * st.alpha_ts, rt.alpha_ts, rtol=1e-12, atol=0)
    torch.testing.assert_close(st.var_ts + st.alpha_ts**2 * rs.var_ts, rt.var_ts, rtol=1e-9, atol=0)
    at_s, at_t = schedule.marginal(s), schedule.marginal(t)
    torch.testing.assert_close(st.alpha_ts * at_s.alpha, at_t.alpha, rtol=1e-12, atol=0)
    torch.testing.assert_close(st.var_ts + (st.alpha_ts * at_s.sigma) ** 2, at_t.sigma**2, rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_mean_of_the_posterior_of_a_noiseless_path_is_on_it(schedule):
    """With x_t = alpha_t x_0 + sigma_t eps for an eps of 0, x_s = alpha_s x_0: at every time, alpha = 0 included."""
    s, t = random_times(schedule, 2)
    t = torch.cat([t, torch.ones(1, dtype=torch.float64)])
    s = torch.cat([s, s[-1:]])
    at_s, at_t = schedule.marginal(s), schedule.marginal(t)
    step = transition(schedule, s, t)
    torch.testing.assert_close(step.of_xt * at_t.alpha + step.of_x0, at_s.alpha, rtol=1e-12, atol=0)
    assert all(c.isfinite().all() for c in step[:-1])
    assert torch.equal(step.log_snr, at_t.log_snr)


@pytest.mark.parametrize("stride", [1, 7, 50])
@pytest.mark.parametrize("schedule", CHAINS)
def test_variances_are_those_of_the_textbook_on_any_respaced_chain(schedule, stride):
    """beta = 1 - abar_t/abar_s and Eq. 6 and 7 of Ho et al. (2020), all in terms of the betas of the sub-grid."""
    k = torch.arange(1, schedule.T + 1, stride, dtype=torch.float64)
    abar = schedule.marginal(k / schedule.T).alpha ** 2
    before, after = abar[:-1], abar[1:]
    beta = 1 - after / before
    step = transition(schedule, k[:-1] / schedule.T, k[1:] / schedule.T)
    torch.testing.assert_close(step.var_ts, beta, rtol=1e-9, atol=0)
    torch.testing.assert_close(step.posterior_var, (1 - before) / (1 - after) * beta, rtol=1e-9, atol=0)
    torch.testing.assert_close(step.of_x0, before.sqrt() * beta / (1 - after), rtol=1e-9, atol=0)
    torch.testing.assert_close(step.of_xt, (1 - beta).sqrt() * (1 - before) / (1 - after), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_diffuse_has_the_moments_of_the_marginal(schedule):
    """On +-1 images and noise, so that the moments need no sampling."""
    (t,) = random_times(schedule, 1)
    x0, eps = torch.tensor([[1, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64)
    x_t = diffuse(schedule, x0.expand(200, 1, 2, 2, 4), eps.expand(200, 1, 2, 2, 4), t)
    at = schedule.marginal(t)
    assert x_t.shape == (200, 1, 2, 2, 4)
    torch.testing.assert_close((x_t * x0).flatten(1).mean(1), at.alpha)
    torch.testing.assert_close((x_t * eps).flatten(1).mean(1), at.sigma)
    torch.testing.assert_close(x_t.square().flatten(1).mean(1), at.alpha**2 + at.sigma**2)


def test_coefficients_are_cast_where_they_meet_an_image():
    coefficient = torch.tensor([0.1, 0.2], dtype=torch.float64)
    images = torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16)
    spread = expand(coefficient, images)
    assert spread.shape == (2, 1, 1, 1)
    assert torch.equal(spread.flatten(), coefficient.bfloat16())
    schedule = Exploding()
    at_s, at_t = schedule.marginal(coefficient), schedule.marginal(coefficient + 0.1)
    for narrow, wide in zip(between(at_s, at_t).over(images), between(at_s, at_t), strict=True):
        assert torch.equal(narrow, expand(wide, images))
