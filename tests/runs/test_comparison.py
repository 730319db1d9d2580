"""The points of a grid beside each other."""

import csv
from itertools import product
from pathlib import Path

import pytest

from difflab.runs import comparison
from difflab.runs.comparison import Point

RUN = Path("run")
MAIN_OF_POINTS = (
    *("energy_distance", "sliced_wasserstein", "energy_p_value", "sliced_wasserstein_p_value"),
    *("nll_of_samples", "nll"),
)
DETAILS_OF_POINTS = (
    *(f"{name}_{end}" for name in ("energy_distance", "sliced_wasserstein") for end in ("floor", "floor_stderr")),
    *(f"nll_{end}" for end in ("stderr", "points", "calls", "floor", "of_samples_stderr", "of_samples_floor")),
)


def point(*overrides, **figures):
    named = {f"test/{name}": value for name, value in figures.items()}
    return Point(RUN, comparison.settings(["run=run", *overrides]), named)


@pytest.fixture
def grid():
    """DDIM: steps by eta; the distance is 100/steps + eta, its error 0.1."""
    return [
        point(
            "sampler=ddim",
            f"sampler.steps={steps}",
            f"sampler.eta={eta}",
            network_calls=steps,
            bits_per_dim=3.0,
            bits_per_dim_stderr=0.01,
            bits_per_dim_truncated=2.0,
            fd_classifier=100 / steps + eta,
            fd_classifier_stderr=0.1,
            fd_classifier_floor=1.5,
            fd_classifier_infinity=1.0,
            fd_classifier_samples=500,
        )
        for steps, eta in product((50, 10, 20), (0, 0.5))
    ]


def test_what_varied_is_what_differs(grid):
    assert comparison.varied(grid) == ["sampler.steps", "sampler.eta"]
    assert comparison.varied(grid[:1]) == []


def test_the_main_figures_are_bits_and_the_distance_itself(grid):
    assert comparison.main_figures(grid) == ["test/bits_per_dim", "test/fd_classifier"]
    assert comparison.main_figures([point(fid=1.0, fid_infinity=0.9, kid=0.1, network_calls=3)]) == ["test/fid"]
    assert comparison.floors(grid) == {"test/fd_classifier": 1.5}


def test_the_main_figures_of_points_are_distances_their_p_values_and_densities():
    figures = dict.fromkeys(MAIN_OF_POINTS, 1.0) | dict.fromkeys(DETAILS_OF_POINTS, 2.0)
    points = [point(f"sampler.steps={n}", network_calls=n, mode_weight_0=0.2, **figures) for n in (10, 20)]
    assert comparison.main_figures(points) == [f"test/{name}" for name in MAIN_OF_POINTS]
    assert list(comparison.by_calls(points)) == ["test/energy_distance", "test/sliced_wasserstein"]
    assert comparison.floors(points)["test/nll_of_samples"] == 2.0


def test_details_of_bits_per_dimension_are_no_columns_of_their_own():
    """Every name that an evaluation of images gives, whichever its likelihood."""
    parts = ("prior", "diffusion", "decoder", "calls", "images", "stderr", "stderr_images", "forward_unclipped")
    truncated = ("truncated", *(f"truncated_{end}" for end in ("stderr", "step", "time", "width", "calls")))
    bits = {f"bits_per_dim_{end}": 1.0 for end in (*parts, *truncated, "continuous_clipped", "learned_clipped")}
    frechet = {
        f"fid_{end}": 1.0 for end in ("draws", "floor", "at_floor", "floor_samples", "infinity_stderr", "infinity")
    }
    assert comparison.main_figures([point(bits_per_dim=1.0, fid=1.0, **bits, **frechet)]) == [
        "test/bits_per_dim",
        "test/fid",
    ]
    assert comparison.main_figures([point(fid_infinity=1.0, fid_infinity_samples=9)]) == ["test/fid_infinity"]


def test_a_curve_for_each_choice_of_the_other_settings_by_rising_calls(grid):
    (lines,) = comparison.by_calls(grid).values()
    assert [line.name for line in lines] == ["sampler.eta=0", "sampler.eta=0.5"]
    assert [line.x for line in lines] == [(10, 20, 50)] * 2
    assert lines[1].values == (10.5, 5.5, 2.5) and lines[1].errors == (0.1,) * 3


def test_samplers_that_cost_differently_are_curves_of_their_own():
    points = [
        point(f"sampler={name}", f"sampler.steps={steps}", network_calls=calls * steps, fid=float(steps))
        for (name, calls), steps in product((("ddim", 1), ("heun", 2)), (5, 10))
    ]
    (lines,) = comparison.by_calls(points).values()
    assert {line.name: line.x for line in lines} == {"sampler=ddim": (5, 10), "sampler=heun": (10, 20)}
    alone = [point(f"sampler={name}", network_calls=calls, fid=1.0) for name, calls in (("ddim", 5), ("heun", 10))]
    (lines,) = comparison.by_calls(alone).values()
    assert [(line.name, line.x) for line in lines] == [("sampler=ddim", (5,)), ("sampler=heun", (10,))]


def test_there_is_no_curve_without_a_distance_or_where_the_calls_are_the_same(grid):
    assert comparison.by_calls(grid[:2]) == {}
    assert comparison.by_calls([point(f"sampler.steps={n}", network_calls=n) for n in (3, 4)]) == {}
    assert comparison.by_calls([point(f"likelihood.batch={n}", bits_per_dim=1.0) for n in (3, 4)]) == {}
    assert comparison.by_length(grid) == {}


def test_figures_along_the_ema_length():
    points = [
        point(f"ema.length={length}", f"seed={seed}", bits_per_dim=length + seed, fd_x=1 / length)
        for length, seed in product((0.1, 0.01, 0.05), (0, 1))
    ]
    points.append(point("ema.length=null", "seed=0", bits_per_dim=9.0, fd_x=9.0))
    found = comparison.by_length(points)
    assert list(found) == ["test/bits_per_dim", "test/fd_x"]
    assert [(line.name, line.x) for line in found["test/fd_x"]] == [
        ("seed=0", (0.01, 0.05, 0.1)),
        ("seed=1", (0.01, 0.05, 0.1)),
    ]
    assert found["test/bits_per_dim"][1].values == (1.01, 1.05, 1.1)


def test_the_csv_has_a_row_for_each_point_and_every_figure(grid, tmp_path):
    comparison.write([*grid, point("sampler.steps=7", fid=2.0)], tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert (rows[1]["run"], rows[1]["sampler.steps"], rows[1]["sampler.eta"]) == ("run", "50", "0.5")
    assert (rows[1]["test/fd_classifier"], rows[1]["test/fd_classifier_samples"]) == ("2.5", "500")
    assert (rows[6]["test/fid"], rows[6]["test/fd_classifier"], rows[6]["sampler.eta"]) == ("2.0", "", "")


def test_the_table_shows_values_with_their_errors(grid, capsys):
    comparison.show(grid)
    text = capsys.readouterr().out
    assert "6 evaluations" in text and "network calls" in text
    (row,) = [line for line in text.splitlines() if "10.5" in line]
    assert [cell.strip() for cell in row.split("│") if cell.strip()] == ["10", "0.5", "10", "3 ± 0.01", "10.5 ± 0.1"]
