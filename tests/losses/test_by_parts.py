"""Score matching by parts against the explicit objective, exact derivatives and known optima."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from difflab.distributions import Gaussian, Mixture
from difflab.losses import Explicit, Implicit, Noised, Normal, Rademacher, Score, Sliced, SlicedVR, Sphere
from difflab.models import MLP, StepIndex, UNet
from difflab.prediction import Denoiser, DirectScore
from difflab.process import diffuse
from difflab.schedules import Geometric, Linear
from tests.conftest import Formula

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

PROJECTIONS = [Normal(), Rademacher(), Sphere()]
LAW = Mixture([0.3, 0.7], [[-1.0, 0.5], [1.0, -0.5]], [[[0.5, 0.2], [0.2, 0.3]], 0.2])
SCHEDULES = [Geometric(0.3, 3.0, None), Linear(1000, 1e-4, 0.02)]


class Bent(nn.Module):
    """A smooth score of points: A tanh(B x + b t) - C x, far from symmetric."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, dtype=torch.float64, generator=draw))

        self.A, self.B, self.C = parameter(dimensions, 5), parameter(5, dimensions), parameter(dimensions, dimensions)
        self.b = parameter(5)

    def c_noise(self, schedule, t: Tensor) -> Tensor:
        return t

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x @ self.B.T + t[:, None] * self.b) @ self.A.T - x @ self.C.T


def drawing(shape: tuple[int, ...], seed: int = 7) -> Callable[[], Tensor]:
    """A source of normal numbers."""
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


def examples(law, schedule, n, seed=0):
    """Points of a law at random times between 0.2 and 0.9, on the steps of a chain."""
    draw = torch.Generator().manual_seed(seed)
    x0 = law.sample(n, draw)
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=draw)
    t = (0.2 + 0.7 * torch.rand(n, dtype=torch.float64, generator=draw)).mul(1000).round() / 1000
    return Noised(x0, eps, t, diffuse(schedule, x0, eps, t), drawing(tuple(x0.shape)))


def mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(0), values.std(0) / math.sqrt(len(values))


@pytest.mark.parametrize("power", [0.0, 2.0])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["geometric", "linear"])
def test_explicit_is_implicit_and_a_constant(schedule, power):
    """The constant is sigma^power / 2 E|grad log q|^2, of the same points; Hyvarinen's theorem leaves a mean of 0."""
    noised = examples(LAW, schedule, 40_000)
    denoise = Denoiser(Bent(2), schedule, DirectScore())
    at = schedule.marginal(noised.t)
    constant = at.sigma**power / 2 * LAW.score(noised.x_t, at).square().mean(1)
    with torch.no_grad():
        explicit = Explicit(power, LAW)(denoise, noised, schedule)
        implicit = Implicit(power, None, 2)(denoise, noised, schedule)
    mean, error = mean_and_error(explicit - implicit - constant)
    assert abs(mean) < 4 * error
    assert error < 0.05 * constant.mean()


def test_denoising_has_the_gradients_of_explicit_and_differs_by_the_variance_of_the_noise():
    """Gaussian data of variance v: E Var(eps | x_t) = v / (v + sigma^2) where alpha = 1."""
    schedule, variance, power = Geometric(0.3, 3.0, None), 0.6, 1.0
    law, network = Gaussian(torch.tensor([0.5, -1.0]), variance), Bent(2)
    denoise, weights = Denoiser(network, schedule, DirectScore()), list(network.parameters())
    gaps, gradients, sizes = [], [], []
    for seed in range(100):
        noised = examples(law, schedule, 400, seed)
        sigma = schedule.marginal(noised.t).sigma
        explicit, denoising = (loss(denoise, noised, schedule) for loss in (Explicit(power, law), Score(power)))
        constant = sigma ** (power - 2) / 2 * variance / (variance + sigma**2)
        gaps.append((denoising - explicit - constant).detach())
        found = torch.autograd.grad((denoising - explicit).mean(), weights, retain_graph=True)
        gradients.append(torch.cat([g.flatten() for g in found]))
        sizes.append(torch.cat([g.flatten() for g in torch.autograd.grad(explicit.mean(), weights)]))
    mean, error = mean_and_error(torch.cat(gaps))
    assert abs(mean) < 4 * error and error < 0.01
    mean, error = mean_and_error(torch.stack(gradients))
    assert (mean.abs() < 4.5 * error).all()
    assert error.norm() < 0.05 * torch.stack(sizes).mean(0).norm()


@pytest.mark.parametrize("kind", [Sliced, SlicedVR])
@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: type(p).__name__)
def test_sliced_is_implicit_in_the_mean_over_directions(projection, kind):
    schedule = Geometric(0.3, 3.0, None)
    law = Gaussian(torch.zeros(5), 0.5)
    noised = examples(law, schedule, 40_000)
    denoise = Denoiser(Bent(5), schedule, DirectScore())
    with torch.no_grad():
        exact = Implicit(2.0, None, 5)(denoise, noised, schedule)
        mean, error = mean_and_error(kind(2.0, None, 2, projection)(denoise, noised, schedule) - exact)
        short = kind(2.0, None, 2, lambda normal: projection(normal) / 5**0.5)(denoise, noised, schedule)
        wrong, its_error = mean_and_error(short - exact)
    assert abs(mean) < 4 * error
    assert abs(wrong) > 20 * its_error  # without the factor D


GOLDEN = [Implicit(0.0, 0.0, 6), *(kind(0.0, 0.0, 1, p) for kind in (Sliced, SlicedVR) for p in PROJECTIONS)]


@pytest.mark.parametrize("loss", GOLDEN, ids=lambda loss: type(loss).__name__)
def test_the_optimum_of_a_gaussian_is_known(loss):
    """N(0, I/2) in 6 dimensions, s = -2x: tr ds/dx + E|s|^2/2 = -12 + 6, and a standard deviation of sqrt(12)."""
    schedule = Geometric(0.01, 10.0, None)
    noised = examples(Gaussian(torch.zeros(6), 0.5), schedule, 20_000)
    value = loss(Denoiser(Formula(lambda x, t: -2 * x), schedule, DirectScore()), noised, schedule).detach()
    mean, error = mean_and_error(value)
    assert abs(mean + 1) < 4 * error
    assert error < 0.02
    if isinstance(loss, Implicit):
        assert 6 * value.std() == pytest.approx(math.sqrt(12), rel=0.03)


@pytest.mark.parametrize(
    ("law", "projection"),
    [
        *((Gaussian(torch.zeros(6), 0.5), projection) for projection in PROJECTIONS),
        (LAW, Rademacher()),
        (LAW, Sphere()),
    ],
    ids=lambda p: type(p).__name__,
)
def test_less_variance_at_the_optimum(law, projection):
    schedule = Geometric(0.3, 3.0, None)
    noised = examples(law, schedule, 20_000)
    exact = Denoiser(Formula(lambda x, t: law.score(x, schedule.marginal(t))), schedule, DirectScore())
    with torch.no_grad():
        plain, reduced = (kind(2.0, None, 1, projection)(exact, noised, schedule).var() for kind in (Sliced, SlicedVR))
    assert reduced < 0.7 * plain


def test_more_directions_are_their_mean():
    schedule = SCHEDULES[0]
    noised = examples(LAW, schedule, 10)
    denoise = Denoiser(Bent(2), schedule, DirectScore())
    normal = drawing((10, 2), seed=1)
    directions = [normal() for _ in range(3)]
    singles = [
        Sliced(2.0, None, 1, Normal())(denoise, noised._replace(normal=lambda v=v: v), schedule) for v in directions
    ]
    together = Sliced(2.0, None, 3, Normal())(denoise, noised._replace(normal=drawing((10, 2), seed=1)), schedule)
    torch.testing.assert_close(together, torch.stack(singles).mean(0), rtol=1e-12, atol=1e-12)


def test_the_trace_is_exact():
    """Against the whole Jacobian of each example, of the MLP that users train."""
    torch.manual_seed(0)
    network = MLP((1, 3, 3), StepIndex(), width=8, blocks=1, dropout=0.0).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3)
    schedule = Linear(1000, 1e-4, 0.02)
    noised = examples(Gaussian(torch.zeros(1, 3, 3), 0.5), schedule, 6)
    denoise = Denoiser(network, schedule, DirectScore())
    found = Implicit(1.0, None, 9)(denoise, noised, schedule)
    for x, t, loss in zip(noised.x_t, noised.t, found, strict=True):
        score = lambda flat, t=t: denoise(flat.view(1, 1, 3, 3), t[None]).score.flatten()  # noqa: E731
        trace, square = torch.func.jacrev(score)(x.flatten()).trace(), score(x.flatten()).square().sum()
        expected = schedule.marginal(t).sigma * (trace + square / 2) / 9
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)


LOSSES = [
    Implicit(1.0, None, 64),
    Sliced(1.0, None, 2, Sphere()),
    SlicedVR(1.0, 0.1, 1, Normal()),
]
ids = {"ids": lambda loss: type(loss).__name__}


@pytest.mark.parametrize("loss", LOSSES, **ids)
def test_gradients_in_the_weights_against_finite_differences(loss):
    schedule, network = SCHEDULES[0], Bent(2)
    denoise = Denoiser(network, schedule, DirectScore())
    noised = examples(LAW, schedule, 20)
    fixed = noised.normal()

    def value() -> Tensor:
        return loss(denoise, noised._replace(normal=lambda: fixed), schedule).mean()

    weights = list(network.parameters())
    gradients = torch.autograd.grad(value(), weights)
    draw = torch.Generator().manual_seed(0)
    for weight, gradient in zip(weights, gradients, strict=True):
        step = 1e-5 * torch.randn(weight.shape, dtype=torch.float64, generator=draw)
        ends = []
        for sign in (1, -2):
            with torch.no_grad():
                weight += sign * step
                ends.append(value())
        with torch.no_grad():
            weight += step
        assert float(ends[0] - ends[1]) == pytest.approx(2 * float((gradient * step).sum()), rel=1e-6)


@pytest.fixture(scope="module")
def unet():
    """A U-Net with attention and drawn weights, on 4x4 images, in float32."""
    torch.manual_seed(0)
    network = UNet((1, 4, 4), StepIndex(), 8, (1, 2), blocks=1, attention=(4,), heads=2, dropout=0.0, groups=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    schedule = Linear(1000, 1e-4, 0.02)
    noised = examples(Gaussian(torch.zeros(1, 4, 4), 0.5), schedule, 5)
    fixed = noised.normal().float()
    single = Noised(noised.x0.float(), noised.eps.float(), noised.t, noised.x_t.float(), lambda: fixed)
    return Denoiser(network, schedule, DirectScore()), single


@pytest.mark.parametrize("loss", LOSSES, **ids)
def test_a_unet_with_attention_trains_in_single_precision_whatever_autocast_says(unet, loss):
    denoise, noised = unet
    gradients = []
    for enabled in (False, True):
        denoise.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            value = loss(denoise, noised, denoise.schedule)
        value.mean().backward()
        assert value.dtype == torch.float32
        gradients.append([p.grad.clone() for p in denoise.parameters()])
        assert all(g.isfinite().all() and g.any() for g in gradients[-1])
    for plain, mixed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, mixed, rtol=1e-4, atol=1e-6)


def test_the_derivative_along_a_direction_of_a_unet_with_attention(unet):
    """SlicedVR without its square is v^T (ds/dx) v: against central differences in double precision."""
    denoise, noised = unet
    try:
        denoise.double()
        double = Noised(*(part.double() for part in noised[:4]), lambda: noised.normal().double())
        v = double.normal()
        score = lambda x: denoise(x, double.t).score  # noqa: E731
        with torch.no_grad():
            along = ((score(double.x_t + 1e-5 * v) - score(double.x_t - 1e-5 * v)) / 2e-5 * v).flatten(1).mean(1)
            square = score(double.x_t).square().flatten(1).mean(1) / 2
            found = SlicedVR(0.0, None, 1, Normal())(denoise, double, denoise.schedule)
        torch.testing.assert_close(found, along + square, rtol=1e-6, atol=1e-8)
    finally:
        denoise.float()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("loss", LOSSES, **ids)
def test_validation_has_the_numbers_of_training(unet, loss, mode):
    """Examples made in inference mode cannot be differentiated by; copies of them can."""
    denoise, noised = unet
    expected = loss(denoise, noised, denoise.schedule).detach()
    with mode():
        there = Noised(*(part.clone() for part in noised[:4]), lambda: noised.normal().clone())
        value = loss(denoise, there, denoise.schedule)
        assert not value.requires_grad
        torch.testing.assert_close(value + 0, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("make", [lambda n: Implicit(2.0, n, 2), lambda n: Sliced(2.0, n, 1, Normal())])
def test_with_a_noise_of_its_own_x_is_the_data_and_so_much_noise_at_the_same_t(make, noise):
    schedule = SCHEDULES[0]
    noised = examples(LAW, schedule, 10)
    fixed = noised.normal()
    noised = noised._replace(normal=lambda: fixed)
    denoise = Denoiser(Bent(2), schedule, DirectScore())
    by_hand = noised._replace(x_t=noised.x0 + noise * noised.eps)
    found = make(noise)(denoise, noised, schedule)
    torch.testing.assert_close(found, make(None)(denoise, by_hand, schedule), rtol=1e-12, atol=0)
    assert not torch.allclose(found, make(None)(denoise, noised, schedule))
    later = make(noise)(denoise, noised._replace(t=noised.t + 0.1), schedule)
    assert not torch.allclose(found, later)


def test_refusals_name_the_field():
    for make, field in (
        (lambda: Implicit(2.0, -0.1, 64), "noise"),
        (lambda: SlicedVR(2.0, math.inf, 1, Normal()), "noise"),
        (lambda: Sliced(2.0, None, 0, Normal()), "probes"),
        (lambda: Implicit(2.0, None, 64, dimensions=65), "most"),
    ):
        with pytest.raises(ValueError, match=rf"^loss\.{field}: .*; .*allowed are "):
            make()
    Implicit(2.0, None, 64, dimensions=64)


def test_refusals_when_called():
    schedule = SCHEDULES[0]
    noised, denoise = examples(LAW, schedule, 3), Denoiser(Bent(2), schedule, DirectScore())
    with pytest.raises(ValueError, match=r"^loss\.most: 1; .*has 2; allowed are sliced"):
        Implicit(2.0, None, 1)(denoise, noised, schedule)
    with pytest.raises(ValueError, match=r"^loss: .*noised\.normal"):
        Sliced(2.0, None, 1, Normal())(denoise, Noised(*noised[:4]), schedule)
    with pytest.raises(ValueError, match=r"^loss: explicit .*allowed are"):
        Explicit(2.0)(denoise, noised, schedule)
