import math

import pytest
import torch
from scipy.stats import kstest

from difflab.errors import ConfigError
from tests.data.point_sets import point_set

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def draw(name, noise, n=20000):
    return point_set(name, noise=noise).exact(n, torch.Generator().manual_seed(0)).double()


def test_the_radius_of_a_swiss_roll_grows_with_the_angle():
    x = draw("swiss_roll", 0)
    angle = 7 * x.norm(dim=1)
    torch.testing.assert_close(
        torch.stack([angle.cos(), angle.sin()], 1), x / x.norm(dim=1, keepdim=True), atol=1e-5, rtol=0
    )
    assert kstest(angle.numpy() / math.pi, "uniform", (1.5, 3)).pvalue > 1e-3


def test_noise_moves_points_off_the_swiss_roll():
    """Near a smooth curve the distance to it is |N(0, noise^2)|."""
    x = draw("swiss_roll", 0.02, n=2000)
    a = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 4001, dtype=torch.float64)
    curve = a[:, None] / 7 * torch.stack([a.cos(), a.sin()], 1)
    inside = (7 * x.norm(dim=1) > 1.6 * math.pi) & (7 * x.norm(dim=1) < 4.4 * math.pi)  # ends have round caps
    distance = torch.cdist(x[inside], curve).min(1).values
    assert float(distance.square().mean().sqrt()) == pytest.approx(0.02, rel=0.05)


def arcs(x):
    """Distances from either arc, and the angles along them, from the formula of a circle."""
    upper = x / math.sqrt(2) + torch.tensor([0.5, 0.25])
    lower = -x / math.sqrt(2) + torch.tensor([0.5, 0.25])
    both = [(y.norm(dim=1), torch.atan2(y[:, 1], y[:, 0])) for y in (upper, lower)]
    return [(math.sqrt(2) * (r - 1).abs() + 9 * ((a < -1e-3) | (a > math.pi + 1e-3)), a) for r, a in both]


def test_two_moons_are_two_half_circles_with_half_of_the_points_each():
    (upper, along_upper), (lower, along_lower) = arcs(draw("two_moons", 0))
    assert float(torch.minimum(upper, lower).max()) < 1e-6
    on_upper = upper < lower
    assert float(on_upper.double().mean()) == pytest.approx(0.5, abs=0.015)
    for angle in (along_upper[on_upper], along_lower[~on_upper]):
        assert kstest(angle.numpy() / math.pi, "uniform").pvalue > 1e-3


def test_noise_moves_points_off_the_moons():
    x = draw("two_moons", 0.05)
    for distance, angle in arcs(x):
        near = distance[(distance < 0.4) & (angle > 0.3) & (angle < math.pi - 0.3)]  # beyond its end an arc has none
        assert len(near) > 7000
        assert float(near.square().mean().sqrt()) == pytest.approx(0.05, rel=0.03)


@pytest.mark.parametrize("noise", [-0.1, math.inf, math.nan])
def test_noise_below_0_is_refused(noise):
    with pytest.raises(ConfigError, match=r"data\.noise: "):
        draw("two_moons", noise)
