"""Arrows and errors of score fields, by what matplotlib holds."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from difflab.plots.points import Window
from difflab.plots.score_field import ARROWS, Errors, Field, quiver, relative, score_fields_figure

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

WINDOW = Window(0.0, 0.0, 4.0)
PLACES = WINDOW.lattice(61)
TRUE = Field("true", -PLACES)  # of a standard normal law
DENSITY = -np.square(PLACES).sum(-1) / 2


def arrows(axes) -> Quiver:
    (found,) = [c for c in axes.collections if isinstance(c, Quiver)]
    return found


def test_arrows_point_along_the_field_and_long_ones_are_cut():
    axes = Figure().subplots()
    quiver(axes, TRUE, WINDOW, cut=2.0)
    drawn = arrows(axes)
    x, y, u, v = drawn.X, drawn.Y, drawn.U, drawn.V
    assert len(u) == ARROWS**2
    length, full = np.hypot(u, v), np.hypot(x, y)
    np.testing.assert_allclose(length, np.minimum(full, 2.0), atol=1e-12)
    np.testing.assert_allclose(u * y, v * x, atol=1e-12)
    assert (u * x + v * y <= 0).all()


def test_no_arrow_is_longer_than_the_way_to_the_next():
    axes = Figure().subplots()
    quiver(axes, TRUE, WINDOW, cut=2.0)
    drawn = arrows(axes)
    assert np.hypot(drawn.U, drawn.V).max() / drawn.scale <= 2 * WINDOW.half / (ARROWS - 1)


def test_the_relative_error_is_one_where_nothing_was_learned():
    error = relative(Field("none", 0 * TRUE.vectors), TRUE)
    far = np.linalg.norm(TRUE.vectors, axis=-1) > 1
    np.testing.assert_allclose(error[far], 1)
    assert error.max() <= 1 and relative(TRUE, TRUE).max() == 0
    np.testing.assert_allclose(relative(Field("half", 0.5 * TRUE.vectors), TRUE)[far], 0.5)


def test_the_picture_has_a_map_for_each_learned_field():
    half = Field("half", 0.5 * TRUE.vectors)
    curves = [Errors("none", [1, 2], [1.0, 1.0], [0.1, 0.1]), Errors("half", [1, 2], [0.5, 0.4], [0.1, 0.1])]
    none = Field("none", 0 * TRUE.vectors)
    figure = score_fields_figure(TRUE, [none, half], DENSITY, curves, WINDOW, -2.0)
    above, below = figure.axes[:3], figure.axes[3:6]
    assert [axes.get_title() for axes in above] == ["true", "none", "half"]
    for axes, field in zip(above, (TRUE, none, half), strict=True):
        assert np.hypot(arrows(axes).U, arrows(axes).V).max() <= np.linalg.norm(field.vectors, axis=-1).max()
    assert [list(c.lines[0].get_ydata()) for c in below[0].containers] == [[1.0, 1.0], [0.5, 0.4]]
    for axes, field in zip(below[1:], (none, half), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), relative(field, TRUE))
        (circle,) = [p for c in axes.collections if hasattr(c, "levels") for p in c.get_paths()]
        assert np.linalg.norm(circle.vertices, axis=1) == pytest.approx(2.0, abs=0.01)  # -2 = -r^2/2
