from copy import deepcopy

import pytest
import torch

from difflab.schedules import Learned, LogSnrShift

ENDS = ("raw_max", "log_snr_min")
INTERIOR = ("raw_steepness", "bias", "raw_height")
T = torch.linspace(0, 1, 101, dtype=torch.float64)


def untrained(width=16):
    return Learned(log_snr_max=13.3, log_snr_min=-5.0, width=width)


def perturbed(seed=0, scale=1.0):
    schedule = untrained()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter += scale * torch.randn(parameter.shape, dtype=torch.float64, generator=draw)
    return schedule


def test_it_starts_at_its_end_points_and_nearly_straight():
    schedule = untrained(64)
    log_snr = schedule.marginal(T).log_snr.detach()
    assert float(log_snr[0]) == pytest.approx(13.3, abs=1e-12)
    assert float(log_snr[-1]) == pytest.approx(-5, abs=1e-12)
    torch.testing.assert_close(log_snr, 13.3 - 18.3 * T, atol=0.05 * 18.3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_monotone_and_inverted_whatever_its_weights(seed):
    schedule = perturbed(seed, scale=3.0)
    with torch.no_grad():  # end points that have crossed
        schedule.raw_max.copy_(schedule.log_snr_min - 1.5)
    log_snr = schedule.marginal(T).log_snr.detach()
    assert (log_snr.diff() < 0).all()
    found = schedule.time(log_snr)
    torch.testing.assert_close(schedule.marginal(found).log_snr.detach(), log_snr, rtol=0, atol=1e-12)


def test_it_preserves_variance_and_keeps_float64():
    schedule = perturbed().half()
    alpha, sigma, _ = schedule.marginal(T)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(T), rtol=1e-14, atol=0)
    assert all(parameter.dtype == torch.float64 for parameter in schedule.parameters())


def test_slope_is_the_derivative_and_so_is_its_gradient():
    """The closed form against automatic differentiation of log_snr, first in t and then in the weights."""
    schedule = perturbed()
    t = T.clone().requires_grad_()
    (slope,) = torch.autograd.grad(schedule.marginal(t).log_snr.sum(), t, create_graph=True)
    torch.testing.assert_close(schedule.slope(T), slope, rtol=1e-12, atol=0)
    for found, expected in zip(
        torch.autograd.grad(schedule.slope(T).square().sum(), list(schedule.parameters())),
        torch.autograd.grad(slope.square().sum(), list(schedule.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def toy(schedule, t, by_autograd=False):
    """A loss of each example that needs both log_snr and its slope."""
    slope = schedule.slope(t)
    if by_autograd:
        t = t.clone().requires_grad_()
        (slope,) = torch.autograd.grad(schedule.marginal(t).log_snr.sum(), t, create_graph=True)
    return -slope * (0.1 + torch.sin(schedule.marginal(t).log_snr) ** 2) * (1 + t)


@pytest.mark.parametrize("by_autograd", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_the_interior_is_trained_by_the_mean_square_and_the_ends_by_the_mean(by_autograd, shifted):
    schedule, t = perturbed(), torch.rand(32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain = deepcopy(schedule)
    used = LogSnrShift(schedule, shape=(1, 8, 8), reference=32.0) if shifted else schedule
    reference = LogSnrShift(plain, shape=(1, 8, 8), reference=32.0) if shifted else plain
    loss = toy(used, t, by_autograd)
    schedule.interior_scale = 2 * loss.detach()
    loss.mean().backward()
    expected = toy(reference, t)
    of_value = torch.autograd.grad(expected.mean(), [getattr(plain, n) for n in ENDS], retain_graph=True)
    of_square = torch.autograd.grad(expected.square().mean(), [getattr(plain, n) for n in INTERIOR])
    for name, gradient in zip((*ENDS, *INTERIOR), (*of_value, *of_square), strict=True):
        torch.testing.assert_close(getattr(schedule, name).grad, gradient, rtol=1e-9, atol=1e-12)


def test_without_a_scale_everything_is_trained_by_the_mean():
    schedule, t = perturbed(), T[1:]
    toy(schedule, t).mean().backward()
    direct = torch.autograd.grad(toy(schedule, t).mean(), list(schedule.parameters()))
    for parameter, gradient in zip(schedule.parameters(), direct, strict=True):
        assert parameter.grad is not None and parameter.grad.abs().max() > 0
        torch.testing.assert_close(parameter.grad, gradient)


def test_times_of_another_shape_train_the_ends_only():
    schedule = perturbed()
    schedule.interior_scale = torch.ones(5, dtype=torch.float64)
    (schedule.marginal(T[1:-1]).log_snr.sum() + schedule.marginal(T[3]).sigma).backward()
    for name in INTERIOR:
        assert not getattr(schedule, name).grad.any()
    for name in ENDS:
        assert getattr(schedule, name).grad.abs() > 0


def test_the_derivative_in_t_is_not_scaled():
    schedule = perturbed()
    schedule.interior_scale = torch.full((len(T),), 7.0, dtype=torch.float64)
    t = T.clone().requires_grad_()
    (slope,) = torch.autograd.grad(schedule.marginal(t).log_snr.sum(), t)
    torch.testing.assert_close(slope, schedule.slope(T).detach(), rtol=1e-12, atol=0)


def test_without_sigmoids_it_is_a_straight_line_between_trained_ends():
    schedule = untrained(width=0)
    torch.testing.assert_close(schedule.marginal(T).log_snr, 13.3 - 18.3 * T, rtol=0, atol=1e-12)
    torch.testing.assert_close(schedule.slope(T), torch.full_like(T, -18.3), rtol=1e-12, atol=0)
    assert {name for name, part in schedule.named_parameters() if part.requires_grad} == set(ENDS)


@pytest.mark.parametrize(
    ("field", "change"),
    [("log_snr_min", {"log_snr_min": 13.3}), ("log_snr_min", {"log_snr_max": float("inf")}), ("width", {"width": -1})],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"^schedule\.{field}: "):
        Learned(**{"log_snr_max": 13.3, "log_snr_min": -5.0, "width": 8} | change)
