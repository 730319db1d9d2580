import math

import pytest
import torch
from torch import nn

from difflab.losses import Score, Simple
from difflab.prediction import Denoiser, V
from difflab.times import Weighted
from difflab.times.piecewise import middles
from tests.conftest import Formula, option


def bounded(schedule, t):
    """From a weight on eps to that on the error that is bounded: min(1, SNR)."""
    return schedule.marginal(t).log_snr.exp().clamp(max=1)


class Power:
    """A loss whose weight on the bounded error is a power of t."""

    def __init__(self, power):
        self.power = power

    def weight(self, denoise, t):
        return t**self.power / bounded(denoise.schedule, t)

    def __call__(self, denoise, noised, schedule):
        raise NotImplementedError


def denoiser(schedule):
    return Denoiser(Formula(lambda x, t: x), schedule, V())


def test_the_density_is_the_root_of_the_weight_on_the_bounded_error_and_a_share_that_is_uniform():
    schedule = option("schedule", "linear", "schedule.T=50")
    t = middles(50, schedule)
    root = (0.5 / schedule.marginal(t).sigma * bounded(schedule, t)).sqrt()  # sigma^(power - 2) / 2 on eps
    found = Weighted(Score(1.0), denoiser(schedule), 1, 0.2).density(schedule)
    torch.testing.assert_close(found, 0.8 * root / root.sum() + 0.2 / 50)


def test_continuous_times_have_the_density_of_the_weight():
    """w = t^4 on [0, 1]: p(t) = 3 t^2, the cube of t is uniform; numbers over all of [0, 1), a batch at a time."""
    schedule = option("schedule", "geometric")
    times = Weighted(Power(4), denoiser(schedule), 1000, 1e-9)
    t = times(torch.zeros(10_000, dtype=torch.float64), schedule).t.sort().values
    torch.testing.assert_close(t**3, torch.arange(10_000).double() / 10_000, rtol=0, atol=1e-5)


@pytest.mark.parametrize("power", [0.5, 2, 6])
def test_no_density_has_a_smaller_second_moment_where_that_of_the_loss_is_as_the_weight(power):
    """With E[loss^2 | t] = w: E[(weight loss)^2] = mean of w/(n p) >= (mean of sqrt(w))^2 by Cauchy and Schwarz."""
    schedule = option("schedule", "linear", "schedule.T=50")
    w = middles(50, schedule) ** power
    p = Weighted(Power(power), denoiser(schedule), 1, 1e-12).density(schedule)

    def second_moment(p):
        return float((w / (50 * p)).mean())

    assert second_moment(p) == pytest.approx(float(w.sqrt().mean()) ** 2, rel=1e-9)
    others = torch.rand(100, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    others = [*(p * (1 + 0.1 * (others - 0.5))), *others, w, torch.ones_like(w)]
    assert all(second_moment(q / q.sum()) > second_moment(p) for q in others)


def test_a_loss_whose_error_is_constant_has_less_variance_than_with_uniform_times():
    schedule = option("schedule", "geometric")
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    t, weight = Weighted(Power(4), denoiser(schedule), 1000, 0.1)(uniform, schedule)
    drawn = weight * t**4
    plain = middles(100_000, schedule) ** 4
    torch.testing.assert_close(drawn.mean(), plain.mean(), rtol=1e-4, atol=0)
    assert drawn.var() < 0.4 * plain.var()


def test_weights_are_bounded_by_the_share():
    schedule = option("schedule", "geometric")
    _, weight = Weighted(Power(40), denoiser(schedule), 100, 0.1)(torch.rand(1000).double(), schedule)
    assert weight.max() <= 10 + 1e-9
    t = torch.cat([Weighted(Power(40), denoiser(schedule), 100, 0.1)(u, schedule).t for u in torch.rand(9, 1).double()])
    assert t.shape == (9,)


def test_an_even_weight_gives_stratified_times():
    schedule = option("schedule", "linear", "schedule.T=64")
    u = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t, weight = Weighted(Power(0), denoiser(schedule), 1, 0.1)(u, schedule)
    assert sorted((t * 64).round().long().tolist()) == list(range(1, 65))
    torch.testing.assert_close(weight, torch.ones_like(weight))


def test_an_infinite_weight_counts_as_the_largest_finite_one():
    """The weight on eps where alpha is 0."""

    class Endless(Power):
        def weight(self, denoise, t):
            return 1 / (1 - t) / bounded(denoise.schedule, t)

    schedule = option("schedule", "linear", "schedule.T=50")
    p = Weighted(Endless(1), denoiser(schedule), 1, 0.1).density(schedule)
    assert p.isfinite().all()
    assert p[-1] == p[-2]
    assert float(p.sum()) == pytest.approx(1)


def test_the_density_follows_whatever_is_trained():
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.power = nn.Parameter(torch.tensor(1.0))

        def weight(self, denoise, t):
            return t**self.power

    for schedule, loss in (
        (option("schedule", "linear", "schedule.T=50"), Slope()),
        (option("schedule", "learned"), Score(1.0)),
    ):
        times = Weighted(loss, denoiser(schedule), 50, 0.1)
        before = times.density(schedule)
        assert not before.requires_grad
        with torch.no_grad():
            for part in (loss, schedule):
                for parameter in part.parameters() if isinstance(part, nn.Module) else ():
                    parameter.add_(1)
        assert (times.density(schedule) - before).abs().max() > 1e-4


def test_a_fixed_density_is_computed_once():
    schedule = option("schedule", "linear", "schedule.T=50")
    times = Weighted(Score(1.0), denoiser(schedule), 1, 0.1)
    assert times.density(schedule) is times.density(schedule)


def test_a_loss_without_a_weight_is_refused():
    schedule = option("schedule", "linear")
    with pytest.raises(ValueError, match=r"^times: weighted needs a loss that is a weight .*; function is none$"):
        Weighted(lambda denoise, noised, schedule: noised.t, denoiser(schedule), 10, 0.1)


@pytest.mark.parametrize(
    ("points", "share", "field"), [(0, 0.1, "points"), (9, 0.0, "uniform_share"), (9, math.nan, "uniform_share")]
)
def test_refusals_name_the_field(points, share, field):
    with pytest.raises(ValueError, match=rf"^times\.{field}: .*; allowed are "):
        Weighted(Simple(), denoiser(option("schedule", "linear")), points, share)
