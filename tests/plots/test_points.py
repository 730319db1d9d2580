"""Points in the plane, by what matplotlib holds."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.plots.points import Panel, Window, beside_figure, scatter, scatter_figure

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


@pytest.fixture
def points():
    return torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0]) + 7


def shown(axes):
    """All points of all scatters."""
    return [np.asarray(dots.get_offsets()) for dots in axes.collections]


def test_the_window_is_a_square_around_all_but_strays(points):
    stray = torch.cat([points, torch.tensor([[1e6, 0.0], [math.nan, 0.0], [0.0, math.inf]])])
    left, right, bottom, top = Window.around(stray).extent
    assert right - left == pytest.approx(top - bottom)
    held = (points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > bottom) & (points[:, 1] < top)
    assert held.float().mean() > 0.98 and right < 100


def test_the_lattice_goes_from_corner_to_corner_by_rows():
    lattice = Window(1.0, 2.0, 3.0).lattice(4)
    assert lattice.shape == (4, 4, 2)
    assert (
        lattice[0, 0].tolist() == [-2, -1] and lattice[0, -1].tolist() == [4, -1] and lattice[-1, 0].tolist() == [-2, 5]
    )


def test_samples_lie_over_held_out_points_in_one_square(points):
    figure = scatter_figure(points[:100], points)
    data, samples, both = figure.axes
    np.testing.assert_allclose(shown(data)[0], points)
    np.testing.assert_allclose(shown(samples)[0], points[:100])
    assert [len(p) for p in shown(both)] == [100, 100]
    for axes in figure.axes:
        assert axes.get_aspect() == 1 and axes.get_xlim() == data.get_xlim() and axes.get_ylim() == data.get_ylim()
    assert samples.get_title() == "100 samples" and data.get_title() == "500 held-out points"


def test_samples_that_are_lost_are_counted(points, tmp_path):
    points[:7] = math.nan
    figure = scatter_figure(points, None)
    assert len(figure.axes) == 1 and "(7 not finite)" in figure.axes[0].get_title()
    scatter(points, None, tmp_path / "samples.png")
    assert Image.open(tmp_path / "samples.png").width > 300


def test_a_density_lies_under_every_set_of_points(points):
    window = Window.around(points)
    density = -np.square(window.lattice(9) - [window.x, window.y]).sum(-1)
    figure = beside_figure([Panel("a", points, [(7.0, 7.0, "20%")]), Panel("b", points[:50])], density, window)
    for axes, count in zip(figure.axes, (500, 50), strict=True):
        (heat,) = axes.images
        np.testing.assert_array_equal(heat.get_array(), density)
        assert tuple(heat.get_extent()) == window.extent and heat.origin == "lower"
        assert len(shown(axes)[0]) == count
    assert [t.get_text() for t in figure.axes[0].texts] == ["20%"]
