"""Images to codes and back, and the way between two codes."""

import math

import pytest
import torch

from difflab.models import Mixture, Oracle
from difflab.prediction import Denoiser, V
from difflab.process import Posterior
from difflab.samplers.ancestral import Ancestral
from difflab.samplers.ddim import DDIM
from difflab.samplers.grid import Uniform
from difflab.samplers.heun import Heun
from difflab.samplers.ode import ODE
from difflab.samplers.sampler import Walk, encode, slerp
from tests.conftest import option

pytestmark = pytest.mark.slow  # long grids

MIXTURE = Mixture([0.2, 0.8], [[-0.6, 0.5], [0.15, -0.125]], [[0.01, 0.02], [0.03, 0.05]])
CONTINUOUS = ["vp", "flow", "karras"]


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def ddim(steps, eta=0.0):
    return DDIM(Uniform(), steps, False, eta, Posterior())


def heun(steps, churn=0.0):
    return Heun(Uniform(), steps, False, churn, 0.0, math.inf, 1.0)


def ode(tolerance):
    return ODE(False, tolerance, tolerance)


def denoiser(schedule):
    return Denoiser(Oracle(MIXTURE, V()), schedule, V())


def images(n=100):
    return MIXTURE.sample(n, torch.Generator().manual_seed(0))


def away(found, wanted):
    """Relative error, RMS."""
    return float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())


def there_and_back(sampler, schedule, x):
    """Up from t_min to 1 and down again."""
    walk, times = Walk(denoiser(schedule), schedule, None, None), sampler.times(schedule)
    code = sampler.travel(walk, x, times.flip(0), lambda: x)
    return code, sampler.travel(walk, code, times, lambda: x)


@pytest.mark.parametrize(
    ("make", "steps", "one_way", "both"), [(ddim, 160, 1, 1), (heun, 80, 2, 3)], ids=["ddim", "heun"]
)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_error_falls_with_the_steps_at_the_order(name, make, steps, one_way, both):
    """One way against the solver; there and back the leading terms of an even order cancel: one more for Heun."""
    schedule, x = option("schedule", name), images()
    exact, _ = there_and_back(ode(1e-8), schedule, x)
    codes, backs = [], []
    for n in (steps, 2 * steps):
        code, back = there_and_back(make(n), schedule, x)
        codes.append(away(code, exact))
        backs.append(away(back, x))
    assert math.log2(codes[0] / codes[1]) == pytest.approx(one_way, abs=0.35)
    assert math.log2(backs[0] / backs[1]) == pytest.approx(both, abs=0.35)
    assert backs[1] < {1: 0.05, 3: 1e-3}[both]


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_solver_returns_within_its_tolerance(name):
    schedule, x = option("schedule", name), images()
    errors = [away(there_and_back(ode(tolerance), schedule, x)[1], x) for tolerance in (1e-5, 1e-7)]
    assert errors[0] < 1e-3
    assert errors[1] < 1e-5


@pytest.mark.parametrize(("sampler", "error"), [(ddim(160), 0.06), (heun(80), 2e-3), (ode(1e-6), 3e-4)])
@pytest.mark.parametrize("name", ["subvp", "geometric", "cosine"])
def test_decoding_a_code_returns_the_image(name, sampler, error):
    """Through `encode` and `sample`, with their steps between data and t_min."""
    schedule, x0 = option("schedule", name), images()
    code = encode(sampler, denoiser(schedule), schedule, x0)
    assert away(sampler.sample(denoiser(schedule), schedule, lambda: x0, start=code), x0) < error


@pytest.mark.parametrize("name", CONTINUOUS)
def test_codes_look_like_the_prior(name):
    """Of 2,000 images: variance within 5 standard errors."""
    schedule = option("schedule", name)
    code = encode(heun(60), denoiser(schedule), schedule, images(2000)) / schedule.prior_std
    assert float(code.square().mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("sampler", [ddim(20), heun(20), ode(1e-4)], ids=["ddim", "heun", "ode"])
def test_codes_and_images_are_bit_equal_run_to_run(sampler):
    schedule = option("schedule", "vp")
    codes = [encode(sampler, denoiser(schedule), schedule, images()) for _ in range(2)]
    assert torch.equal(*codes)
    backs = [sampler.sample(denoiser(schedule), schedule, images, start=code) for code in codes]
    assert torch.equal(*backs)


def test_the_watcher_sees_the_way_to_the_code():
    schedule, states = option("schedule", "vp"), []
    code = encode(ddim(10), denoiser(schedule), schedule, images(), states.append)
    times = [state.t for state in states]
    assert times == sorted(times)
    assert times[-1] == 1
    assert torch.equal(states[-1].x, code)
    assert states[-1].calls == 10


@pytest.mark.parametrize(
    "sampler", [ddim(10, eta=0.5), heun(10, churn=1.0), Ancestral(Uniform(), 10, False, Posterior())]
)
def test_samplers_that_draw_noise_do_not_encode(sampler):
    schedule = option("schedule", "vp")
    with pytest.raises(ValueError, match=r"^sampler: .*ddim with eta 0, heun without churn, ode"):
        encode(sampler, denoiser(schedule), schedule, images())


def codes(seed=0):
    a, b = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a, b * a.norm() / b.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slerp_starts_and_ends_at_its_codes(dtype):
    a, b = (code.to(dtype) for code in codes())
    ends = slerp(a, 3 * b, torch.tensor([0.0, 1.0], dtype=dtype))
    assert ends.dtype == dtype
    torch.testing.assert_close(ends, torch.stack([a, 3 * b]), rtol=1e-6, atol=0)


def test_slerp_keeps_the_norm_and_turns_evenly():
    a, b = codes()
    share = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = slerp(a, b, share)
    assert path.shape == (9, 1, 4, 4)
    torch.testing.assert_close(path.flatten(1).norm(dim=1), a.norm().expand(9), rtol=1e-12, atol=0)
    angles = torch.acos((path.flatten(1) @ a.flatten() / a.norm() ** 2).clamp(-1, 1))
    torch.testing.assert_close(angles, share * angles[-1], rtol=0, atol=1e-7)


def test_half_way_between_orthogonal_codes():
    a, b = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    half = slerp(a, b, torch.tensor([0.5]).double())[0]
    torch.testing.assert_close(half, (a + b) / math.sqrt(2))


@pytest.mark.parametrize("factor", [1.0, 2.0, 1 + 1e-12])
def test_between_parallel_codes_the_way_is_straight(factor):
    a, _ = codes()
    path = slerp(a, factor * a, torch.tensor([0.25]).double())[0]
    torch.testing.assert_close(path, (0.75 + 0.25 * factor) * a, rtol=1e-9, atol=0)
