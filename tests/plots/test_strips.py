"""Strips and trajectories, by what matplotlib holds."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver
from PIL import Image

from difflab.plots.points import Window
from difflab.plots.strips import (
    Strip,
    frames,
    picture_strips,
    picture_strips_figure,
    strips_figure,
    trajectories_figure,
)

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

DRAWS = torch.Generator().manual_seed(0)
POINTS = [scale * torch.randn(200, 2, generator=DRAWS) for scale in (1.0, 1.5, 2.0)]
TITLES = ["data", "t = 0.5", "t = 1"]


def test_a_row_for_each_process_and_a_panel_for_each_time():
    hues = torch.arange(200.0)
    arrows = [np.ones((5, 5, 2))] * 3
    rows = [Strip("forward", TITLES, POINTS, hues), Strip("drift", TITLES, POINTS[::-1], None, arrows)]
    axes = np.array(strips_figure(rows).axes).reshape(2, 3)
    assert [a.get_ylabel() for a in axes[:, 0]] == ["forward", "drift"]
    assert [a.get_title() for a in axes[0]] == TITLES and not any(a.get_title() for a in axes[1])
    for panel, points in zip(axes[0], POINTS, strict=True):
        np.testing.assert_allclose(panel.collections[0].get_offsets(), points)
        np.testing.assert_allclose(panel.collections[0].get_array(), hues)  # a point keeps its colour
    for panel in axes[1]:
        (field,) = [c for c in panel.collections if isinstance(c, Quiver)]
        assert len(field.U) == 25
    assert len({a.get_xlim() for a in axes.ravel()}) == 1 and all(a.get_aspect() == 1 for a in axes.ravel())


def test_noise_much_wider_than_data_gets_a_square_of_its_own():
    near, far = frames([[POINTS[0]], [20 * POINTS[0]]])
    assert far.half == pytest.approx(20 * near.half, rel=0.01)
    a, b = frames([[POINTS[0]], [2 * POINTS[0]]])
    assert a == b and a.half == pytest.approx(2 * near.half, rel=0.01)


def test_the_squares_of_a_column_hold_all_of_its_sets():
    (window,) = frames([[POINTS[0] - 10, POINTS[0] + 10]])
    one = Window.around(POINTS[0])
    assert window.half == pytest.approx(10 + one.half, rel=1e-6) and window.x == pytest.approx(one.x, abs=1e-6)


def test_trajectories_go_from_noise_to_samples():
    paths = torch.stack([2 * POINTS[0][:7], POINTS[0][:7], 0.1 * POINTS[0][:7]])
    (axes,) = trajectories_figure(paths, POINTS[0], "seven ways").axes
    (lines,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    pieces = np.array(lines.get_segments())
    assert pieces.shape == (14, 2, 2)
    np.testing.assert_allclose(pieces[:2, 0], paths[:2, 0])  # the first way, piece by piece
    np.testing.assert_allclose(pieces[:2, 1], paths[1:, 0])
    assert lines.get_array().tolist() == [0, 1] * 7
    start, end = (c.get_offsets() for c in axes.collections if c.get_label() in ("start: noise", "end: sample"))
    np.testing.assert_allclose(start, paths[0])
    np.testing.assert_allclose(end, paths[-1])


def test_pictures_stand_in_rows_with_their_times_above(tmp_path):
    rows = [("forward", torch.full((3, 1, 4, 4), 10, dtype=torch.uint8)), ("reverse", torch.zeros(3, 1, 4, 4).byte())]
    figure = picture_strips_figure(rows, TITLES)
    first, second = figure.axes
    assert [label.get_text() for label in first.get_xticklabels()] == TITLES
    assert [a.get_ylabel() for a in figure.axes] == ["forward", "reverse"]
    grid = np.asarray(first.images[0].get_array())
    centres = [round(x) for x in first.get_xticks()]
    assert grid.shape == (6, 16, 3) and (grid[2, centres] == 10).all() and (grid[0] == 255).all()
    assert np.asarray(second.images[0].get_array())[1:5, 1:5].max() == 0
    picture_strips(rows, TITLES, tmp_path / "strip.png")
    assert Image.open(tmp_path / "strip.png").width > 400
