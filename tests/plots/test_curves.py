"""What is in the pictures, by what matplotlib holds; and that they are pictures."""

from math import nan

import pytest
from matplotlib.figure import Figure
from PIL import Image

from difflab.plots import Curve, ema_lengths, quality
from difflab.plots.curves import draw

CURVES = [Curve("eta=0", (10, 20, 50), (9.0, 5.0, 3.0), (0.3, nan, 0.2)), Curve("eta=1", (10, 50), (70.0, 3.0), (1, 1))]


@pytest.fixture
def axes():
    return Figure().subplots()


def test_each_curve_has_its_points_its_errors_and_its_name(axes):
    draw(axes, CURVES, None)
    for container, curve in zip(axes.containers, CURVES, strict=True):
        line, _, (bars,) = container.lines
        assert (tuple(line.get_xdata()), tuple(line.get_ydata())) == (curve.x, curve.values)
        spans = [(low, high) for (_, low), (_, high) in bars.get_segments()]
        known = [0.0 if error != error else error for error in curve.errors]
        expected = [(v - e, v + e) for v, e in zip(curve.values, known, strict=True)]
        assert spans == [pytest.approx(span) for span in expected]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["eta=0", "eta=1"]
    assert len({container.lines[0].get_color() for container in axes.containers}) == 2


def test_the_axes_show_where_the_points_are(axes):
    draw(axes, CURVES, None)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20", "50"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_the_floor_is_a_dashed_line(axes):
    draw(axes, CURVES[:1], 2.5)
    (floor,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert set(floor.get_ydata()) == {2.5}
    assert any("2.5" in text.get_text() for text in axes.get_legend().get_texts())
    assert axes.get_yscale() == "linear"


def test_a_floor_far_below_does_not_press_the_curves_flat(axes):
    draw(axes, CURVES[:1], 0.1)
    assert axes.get_ylim()[0] > 2 and axes.get_yscale() == "linear"
    assert any("0.1, far below" in text.get_text() for text in axes.get_legend().get_texts())


def test_a_single_curve_needs_no_legend(axes):
    draw(axes, [CURVES[0]._replace(name="")], None)
    assert axes.get_legend() is None


@pytest.mark.parametrize("picture", [quality, ema_lengths])
def test_a_panel_for_each_figure(picture, tmp_path):
    for names in (["test/fd_classifier"], ["test/fid", "test/bits_per_dim"]):
        picture({name: CURVES for name in names}, {names[0]: 2.0}, tmp_path / f"{len(names)}.png")
    one, two = (Image.open(tmp_path / f"{n}.png") for n in (1, 2))
    assert two.width == 2 * one.width and two.height == one.height
