"""What is in the pictures of the studies on images, by what matplotlib holds."""

from math import nan

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from difflab.plots import bounds, interpolations, sweep_table
from difflab.plots.bounds import Term
from difflab.plots.code_errors import code_errors
from difflab.plots.interpolations import Strips, canvas
from difflab.plots.losses import Losses, losses
from difflab.plots.sweep_table import Cell

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


@pytest.fixture
def axes():
    return Figure().subplots()


def size(path):
    with Image.open(path) as image:
        return image.size


def test_what_is_paid_is_the_sum_from_the_noisy_end():
    term = Term("forward", torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64), torch.zeros(4))
    assert term.paid.tolist() == [7.5, 6.5, 4.5]
    assert Term("learned_3", term.bits, term.errors).words == "learned of run 3"


def test_a_decoder_too_small_to_draw_is_named(axes):
    bits = torch.cat([torch.tensor([1e-5, 1e-9]), 1 / torch.arange(2, 60) ** 2])
    bounds.draw(axes, Term("forward", bits, bits / 10), "C0")
    assert len(axes.lines) == 1 and "L_0$ = 1e-09" in axes.lines[0].get_label()
    bits[1] = 1.0
    bounds.draw(axes, Term("forward", bits, bits / 10), "C0")
    dot = axes.lines[-1]
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([1], [1.0])
    line = axes.lines[1]
    assert min(line.get_xdata()) >= 2 and max(line.get_xdata()) <= 59
    assert line.get_ydata()[0] == pytest.approx(0.25)


def test_bounds_of_one_length_are_compared_in_a_third_panel(tmp_path):
    term = Term("forward", torch.rand(31).double(), torch.rand(31).double())
    bounds.bounds([term], tmp_path / "one.png")
    bounds.bounds([term, term._replace(name="posterior")], tmp_path / "two.png")
    assert size(tmp_path / "two.png")[0] > 1.3 * size(tmp_path / "one.png")[0]


def test_cells_are_where_their_numbers_say(axes):
    sweep_table.draw(axes, 2, Cell((1.0, 3.0), 2.0, 0.5, False, 0.4))
    line, _, (bars,) = axes.containers[0].lines
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (2.0, 2)
    assert [x for x, _ in bars.get_segments()[0]] == [1.5, 2.5]
    dots = axes.lines[0]
    assert list(dots.get_xdata()) == [1.0, 3.0]


def test_what_can_be_told_from_the_best_is_hollow(axes):
    cells = [Cell((1.0,), 1.0, nan, True, nan), Cell((1.0,), 1.0, nan, False, 0.4)]
    for row, cell in enumerate([*cells, Cell((1.0,), 1.0, nan, False, 0.01)]):
        sweep_table.draw(axes, row, cell)
    best, near, far = (container.lines[0] for container in axes.containers)
    assert best.get_color() != near.get_color() == far.get_color()
    assert far.get_markerfacecolor() == "white" != near.get_markerfacecolor()
    sweep_table.draw(axes, 3, Cell((), nan, nan, False, nan))
    assert len(axes.containers) == 3
    sweep_table.draw(axes, 4, Cell((1.0,), 1.0, nan, False, nan))  # not compared
    assert axes.containers[3].lines[0].get_markerfacecolor() == far.get_color()


def test_strips_stand_between_the_images_of_their_ends(tmp_path):
    pictures = torch.arange(2 * 3, dtype=torch.uint8).reshape(2, 3, 1, 1, 1).expand(2, 3, 1, 4, 4) + 10
    ends = torch.tensor([[100, 101], [102, 103]], dtype=torch.uint8).reshape(2, 2, 1, 1, 1).expand(2, 2, 1, 4, 4)
    whole = canvas(pictures, ends[:, :1], ends[:, 1:])
    row = whole[3, :, 0].unique_consecutive().tolist()
    assert [value for value in row if value != 255] == [100, 10, 11, 12, 101]
    alone = canvas(pictures[:1], ends[:1, :1], ends[:1, 1:])
    assert alone.shape[1:] == whole.shape[1:] and torch.equal(alone[3], whole[3])
    bare = canvas(pictures, None, None)
    assert bare.shape == whole.shape and not ((bare >= 100) & (bare < 255)).any()
    interpolations.interpolations(Strips(pictures, pictures, ends), tmp_path / "strips.png")
    assert min(size(tmp_path / "strips.png")) > 300


def test_losses_and_errors_of_codes_are_drawn(tmp_path):
    run = Losses("a", range(100), [-float(i) for i in range(100)], None)
    losses([run], tmp_path / "one.png")
    losses([run, run._replace(bound=-5.0)], tmp_path / "two.png")
    assert size(tmp_path / "two.png")[0] == 2 * size(tmp_path / "one.png")[0]
    code_errors([10, 20, 50], [0.2, 0.1, 0.04], [0.5, 0.7, 0.9], [0.1, 0.05, 0.02], (-1, 0), 0.1, tmp_path / "c.png")
    assert size(tmp_path / "c.png")[0] > 1200
