"""Heun, against EDM's algorithm written out, its golden numbers, and what is known of Gaussian data."""

import math
from itertools import pairwise

import pytest
import torch

from difflab.models import Gaussian, Mixture, Oracle
from difflab.prediction import Denoiser, V
from difflab.process import Posterior
from difflab.samplers.ddim import DDIM
from difflab.samplers.grid import Trailing, Uniform
from difflab.samplers.heun import Heun
from difflab.schedules import ZeroTerminalSnr
from tests.conftest import every, option, printed

MIXTURE = Mixture([0.2, 0.8], [[-0.6, 0.5], [0.15, -0.125]], [[0.01, 0.02], [0.03, 0.05]])
HALF = Gaussian([0.0], 0.25)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


class Asked(Denoiser):
    """The exact denoiser, which remembers the times that it was asked about."""

    def __init__(self, schedule, distribution):
        super().__init__(Oracle(distribution, V()), schedule, V())
        self.times = []

    def forward(self, x, t, at=None):
        self.times.append(float(t[0]))
        return super().forward(x, t, at)


def denoiser(schedule, distribution):
    return Denoiser(Oracle(distribution, V()), schedule, V())


def heun(steps, churn=0.0, churn_min=0.0, churn_max=math.inf, churn_noise=1.0, grid=None):
    return Heun(grid or Uniform(), steps, False, churn, churn_min, churn_max, churn_noise)


def ones():
    return torch.ones(1, 1, dtype=torch.float64)


def normal(seed, *shape, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=dtype, generator=draw)


class Given:
    """A grid of the times given."""

    def __init__(self, times):
        self.times, self.steps = times, len(times)

    def __call__(self, schedule, steps):
        return self.times


@pytest.mark.parametrize(
    ("steps", "std"), [(18, "0.527625"), (40, "0.504877"), (80, "0.501145"), pytest.param(160, "0.500269")]
)
def test_the_golden_gain_of_the_linear_map_on_gaussian_data(steps, std):
    schedule = option("schedule", "karras")
    assert float(heun(steps).sample(denoiser(schedule, HALF), schedule, ones)) == printed(std)


def algorithm_2(x0_hat, s, noise, churn, low, high, swell):
    """EDM's Algorithm 2 as the paper has it, in its own letters."""
    x = s[0] * noise()
    t = [*s, 0.0]
    for i in range(len(s)):
        gamma = min(churn / len(s), math.sqrt(2) - 1) if low <= t[i] <= high else 0.0
        t_hat = t[i] + gamma * t[i]
        if gamma > 0:
            x = x + math.sqrt(t_hat**2 - t[i] ** 2) * swell * noise()
        d = (x - x0_hat(x, t_hat)) / t_hat
        x_next = x + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            x_next = x + (t[i + 1] - t_hat) * (d + (x_next - x0_hat(x_next, t[i + 1])) / t[i + 1]) / 2
        x = x_next
    return x


@pytest.mark.parametrize("churn", [0.0, 3.0, 100.0])
def test_it_is_algorithm_2(churn):
    schedule = option("schedule", "karras")
    denoise = denoiser(schedule, MIXTURE)
    sampler = heun(12, churn, churn_min=0.05, churn_max=50.0, churn_noise=1.007)
    s = schedule.marginal(sampler.times(schedule)).sigma.tolist()

    def x0_hat(x, s):
        return denoise(x, schedule.time(torch.tensor(-2 * math.log(s), dtype=torch.float64)).expand(len(x))).x0

    theirs = algorithm_2(x0_hat, s, normal(0, 50, 2), churn, 0.05, 50.0, 1.007)
    torch.testing.assert_close(sampler.sample(denoise, schedule, normal(0, 50, 2)), theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("churn", [0.0, 5.0])
@pytest.mark.parametrize("name", ["vp", "subvp", "flow", "linear", "cosine"])
def test_only_sigma_over_alpha_counts(name, churn):
    """At the same values of s, images are those of the variance-exploding schedule, whatever alpha is."""
    schedule, exploding = option("schedule", name), option("schedule", "karras")
    s = torch.logspace(1.2, -1, 15, dtype=torch.float64)  # inside the range of all of them, with room for the churn
    images = []
    for own in (schedule, exploding):
        times = own.time(-2 * s.log())
        start = own.marginal(times[0]).alpha * s[0] * normal(1, 50, 2)()
        sampler = heun(None, churn, churn_max=10.0, grid=Given(times))
        images.append(sampler.sample(denoiser(own, MIXTURE), own, normal(0, 50, 2), start=start))
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=1e-8)


@pytest.mark.parametrize("schedule", [option("schedule", "flow"), ZeroTerminalSnr(option("schedule", "linear"))])
def test_where_alpha_is_zero_the_step_is_that_of_ddim(schedule):
    denoise = denoiser(schedule, MIXTURE)
    ours, theirs = (
        sampler.sample(denoise, schedule, normal(0, 50, 2))
        for sampler in (heun(2, grid=Trailing()), DDIM(Trailing(), 2, False, 0.0, Posterior()))
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert heun(2, grid=Trailing()).calls(schedule) == 2


@pytest.mark.parametrize("schedule", every("schedule"))
def test_gaussian_data_comes_out_on_every_schedule_at_the_default_steps(schedule):
    """Also where the chain ends so near alpha = 0 that a trapezoid in s would be off by orders of magnitude."""
    gain = float(option("sampler", "heun").sample(denoiser(schedule, HALF), schedule, ones))
    assert gain == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("churn", [0.0, 40.0])
@pytest.mark.parametrize("schedule", every("schedule"))
def test_calls_are_counted_right_and_stay_within_the_schedule(schedule, churn):
    denoise, shares, sampler = Asked(schedule, MIXTURE), [], heun(18, churn)
    x = sampler.sample(denoise, schedule, normal(0, 4, 2), lambda state: shares.append((state.calls, state.share)))
    assert x.isfinite().all()
    assert len(denoise.times) == sampler.calls(schedule) == shares[-1][0]
    assert sampler.calls(schedule) in (35, 34)  # 34 with a first step of Euler's
    assert schedule.t_min <= min(denoise.times)
    assert max(denoise.times) <= 1
    assert [share for _, share in shares] == [pytest.approx(i / 18) for i in range(1, 19)]


def test_it_is_of_second_order():
    """RMS over 1,000 starts from t = 1 to t_min without the last denoising, in equal steps of log_snr."""
    schedule = option("schedule", "vp")
    ends = schedule.marginal(torch.tensor([1.0, schedule.t_min], dtype=torch.float64)).log_snr
    x = normal(0, 1000, 2)()
    states = []
    for steps in (80, 160, 320):
        grid = Given(schedule.time(torch.linspace(*ends.tolist(), steps, dtype=torch.float64)))
        last = heun(None, grid=grid).trajectory(denoiser(schedule, MIXTURE), schedule, lambda: x)[-2]
        states.append(last.x)
    change = [float((a - b).square().mean().sqrt()) for a, b in pairwise(states)]
    assert math.log2(change[0] / change[1]) == pytest.approx(2, abs=0.2)


class Basis:
    """Noise whose j-th call is 1 in the j-th sample and 0 in the others: a linear sampler returns its weights."""

    def __init__(self, size):
        self.size, self.next = size, 0

    def __call__(self):
        noise = torch.zeros(self.size, 1, dtype=torch.float64)
        noise[self.next] = 1
        self.next += 1
        return noise


@pytest.mark.parametrize("name", ["karras", "vp", "flow"])
def test_churn_keeps_the_deviation_of_gaussian_data(name):
    """Added noise is what the higher level asks for; more of it than that is seen in the images."""
    schedule = option("schedule", name)
    found = []
    for swell in (1.0, 1.05):
        sampler, basis = heun(128, 20.0, churn_noise=swell), Basis(129)
        weights = sampler.sample(denoiser(schedule, HALF), schedule, basis)
        assert basis.next > 100
        found.append(float(weights.square().sum().sqrt()))
    assert found[0] == pytest.approx(0.5, abs=0.005)
    assert found[1] > 0.51


def test_churn_is_added_within_its_range_only_and_its_size_is_bounded():
    schedule = option("schedule", "karras")
    times = heun(18).times(schedule)
    s = schedule.marginal(times).sigma
    ratio = schedule.marginal(heun(18, 2.0, 0.05, 50.0).churned(schedule, times)).sigma / s
    inside = (s >= 0.05) & (s <= 50)
    assert inside.any()
    assert not inside.all()
    torch.testing.assert_close(ratio[inside], torch.full_like(ratio[inside], 1 + 2 / 18), rtol=1e-9, atol=0)
    assert torch.equal(ratio[~inside], torch.ones_like(ratio[~inside]))
    most = schedule.marginal(heun(18, 1e9).churned(schedule, times)).sigma
    torch.testing.assert_close(most, (math.sqrt(2) * s).clamp(max=80.0), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", every("schedule"))
def test_single_precision_changes_little(schedule):
    wide, narrow = (
        heun(18).sample(denoiser(schedule, MIXTURE), schedule, lambda x=x: x)
        for x in (normal(0, 100, 2)(), normal(0, 100, 2)().float())
    )
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=2e-3)


@pytest.mark.parametrize("field", ["churn", "churn_min", "churn_noise"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_numbers_without_a_meaning_are_refused(field, value):
    with pytest.raises(ValueError, match=rf"^sampler\.{field}: {value}; "):
        heun(18, **{"churn": 1.0, field: value})


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match=r"^sampler\.churn_max: 1\.0; allowed .* sampler\.churn_min = 2\.0"):
        heun(18, 1.0, 2.0, 1.0)
