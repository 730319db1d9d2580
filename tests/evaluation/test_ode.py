"""likelihood=ode through the class that evaluation uses, on laws whose densities are known."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal

from difflab.data import Images
from difflab.data.scaling import Scaling
from difflab.errors import ConfigError
from difflab.evaluation import Ode
from difflab.evaluation.examples import Examples
from difflab.evaluation.ode import Dequantised, Noised, time_of
from difflab.evaluation.truncation import Truncation
from difflab.likelihood import Stratified, discretised_nats
from difflab.models import Gaussian, Mixture, Oracle
from difflab.prediction import Denoiser, V
from tests.conftest import option, options

sys.path.insert(0, str(Path(__file__).parent))
from two_processes import figures

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

SHAPE = (1, 2, 2)
STD = 0.4


def ode(**changes):
    estimate = Stratified(8, 6, 0.2)
    plain = {"rtol": 1e-4, "atol": 1e-4, "probes": 1, "draws": 2, "images": None, "batch": 8, "clip": False}
    return Ode(**plain | {"cells": 200, "estimate": estimate} | changes)


def pictures(levels, n, seed=0):
    """Levels of N(0, STD^2), [n, 1, 2, 2], uint8."""
    x = STD * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
    return Scaling(levels).decode(x)


def data_of(levels, n):
    parts = [Images(pictures(levels, count, seed), None) for seed, count in enumerate((n, 40))]
    return SimpleNamespace(levels=levels, scaling=Scaling(levels), test=parts[0], val=parts[1], shape=SHAPE)


@pytest.fixture(scope="module")
def denoise():
    """Of N(0, STD^2) in four dimensions; the flow of this schedule ends in its prior to 1e-5 bits."""
    schedule = option("schedule", "vp", "schedule.beta_max=30")
    return Denoiser(Oracle(Gaussian(torch.zeros(SHAPE), STD**2), V()), schedule, V())


def exact_bits(denoise, y, levels):
    """Bits of points y under the density of x_{t_min} / alpha, times the width of a bin."""
    alpha, sigma, _ = denoise.schedule.marginal(torch.tensor(denoise.schedule.t_min).double())
    law = Normal(0.0, (STD**2 + (sigma / alpha) ** 2).sqrt())
    return -(law.log_prob(y) + math.log(2 / (levels - 1))).flatten(1).mean(1) / math.log(2)


@pytest.mark.parametrize("levels", [5, 17, 1000])
def test_each_draw_has_the_density_at_the_dequantised_point(denoise, levels):
    """On any number of levels; the noise is that of the start, seen here."""
    x0 = Scaling(levels).encode(torch.randint(min(levels, 256), (8, *SHAPE)))
    seen = []

    class Watched(Dequantised):
        def __call__(self, denoise, x0, streams):
            start = super().__call__(denoise, x0, streams)
            alpha = denoise.schedule.marginal(torch.tensor(start.t).double()).alpha
            seen.append(start.x / alpha)
            return start

    start = Watched(levels)
    solved = ode(probes=None).solve(denoise, Examples(x0), "test", 0, start)
    points = torch.cat(seen).view(2, 8, *SHAPE)
    wanted = torch.stack([exact_bits(denoise, y, levels) for y in points], 1)
    torch.testing.assert_close(solved.bits, wanted, rtol=0, atol=4e-3)
    off = (points - x0) * (levels - 1) / 2  # in bins
    assert off.abs().max() <= 0.5 + 1e-6
    assert abs(float(off.mean())) < 4 / math.sqrt(12 * off.numel())


def test_it_bounds_the_bits_of_the_levels_and_reaches_them_where_they_are_fine(denoise):
    for levels, slack in ((5, None), (256, 0.005)):
        x0 = Scaling(levels).encode(pictures(levels, 20))
        inner = x0.abs().amax((1, 2, 3)) < 1  # outermost bins are open
        found = ode(probes=None, draws=4, batch=64).solve(denoise, Examples(x0[inner]), "test", 0, Dequantised(levels))
        exact = discretised_nats(x0[inner], torch.zeros_like(x0[inner]), torch.tensor(STD).double(), levels)
        gap = found.mean() - float(exact.mean()) / math.log(2)
        assert gap > -0.001 - 4 * found.stderr()  # the solver's own error beside that of the draws
        assert slack is None or gap < slack + 4 * found.stderr()


def test_the_end_of_a_truncation_is_a_bound_too(denoise):
    """E log q(x_t|x) - log p(x_t) - log p(x|x_t): with the posterior's own width, the evidence itself."""
    levels, bound = 256, ode().bound(denoise, 256)
    x0 = Scaling(levels).encode(pictures(levels, 40))
    x0 = x0[x0.abs().amax((1, 2, 3)) < 1]
    exact = float(discretised_nats(x0, torch.zeros_like(x0), torch.tensor(STD).double(), levels).mean()) / math.log(2)
    k = 40
    alpha, sigma, _ = denoise.schedule.marginal(torch.tensor(time_of(bound, Truncation(k, 0.1))).double())
    posterior = float(STD * sigma / (alpha**2 * STD**2 + sigma**2).sqrt())
    gaps = []
    for factor in (0.6, 1.0, 1.6):
        start = Noised(bound, Truncation(k, factor * posterior))
        found = ode(probes=None, draws=4, batch=64).solve(denoise, Examples(x0), "test", 0, start)
        gaps.append(found.mean() - exact)
    assert abs(gaps[1]) < 0.003
    assert min(gaps[0], gaps[2]) > 0.05


@pytest.mark.slow
def test_the_reported_errors_are_the_spread_over_seeds(denoise):
    chosen, x0 = ode(batch=12, rtol=1e-2, atol=1e-2), Scaling(17).encode(pictures(17, 12))
    end = Noised(chosen.bound(denoise, 17), Truncation(20, 0.1))
    for start in (Dequantised(17), end):
        found = [chosen.solve(denoise, Examples(x0), "test", seed, start) for seed in range(16)]
        reported = (sum(solved.stderr() ** 2 for solved in found) / len(found)) ** 0.5
        spread = float(torch.tensor([solved.mean() for solved in found]).std())
        assert spread == pytest.approx(reported, rel=0.5)  # 16 seeds know it to 18%


def test_figures_are_those_of_the_first_images(denoise):
    data, chosen = data_of(17, 12), ode(images=5, rtol=1e-3, atol=1e-3)
    scores = chosen.figures(denoise, data, 7, 0)
    assert scores.terms == {}
    x0 = data.scaling.encode(data.test.pixels[:5])
    whole = chosen.solve(denoise, Examples(x0), "test", 0, Dequantised(17))
    figures = scores.figures
    assert (figures["bits_per_dim"], figures["bits_per_dim_stderr"]) == (whole.mean(), whole.stderr())
    assert figures["bits_per_dim_images"] == 5
    assert figures["bits_per_dim_calls"] == whole.calls > 20
    t, width = figures["bits_per_dim_truncated_time"], figures["bits_per_dim_truncated_width"]
    assert denoise.schedule.t_min <= t < 0.2
    assert 0 < width < 1
    assert all(math.isfinite(value) for value in figures.values())


@pytest.mark.slow
def test_the_probes_are_in_the_error():
    """A law with correlations, no dequantisation to speak of: what is left is the trace."""
    covariance = torch.eye(4) * 0.05 + 0.1
    schedule = option("schedule", "vp", "schedule.beta_max=30")
    denoise = Denoiser(Oracle(Mixture([1.0], torch.zeros(1, *SHAPE), [covariance]), V()), schedule, V())
    x0 = torch.zeros(6, *SHAPE)
    start = Dequantised(10**6)
    exact = ode(probes=None, rtol=1e-3, atol=1e-3).solve(denoise, Examples(x0), "test", 0, start)
    assert exact.stderr() < 2e-3
    few = ode(draws=8, rtol=1e-3, atol=1e-3).solve(denoise, Examples(x0), "test", 0, start)
    many = ode(draws=8, probes=4, rtol=1e-3, atol=1e-3).solve(denoise, Examples(x0), "test", 0, start)
    assert few.stderr() > 0.01
    assert many.stderr() == pytest.approx(few.stderr() / 2, rel=0.5)
    for solved in (few, many):
        assert abs(solved.mean() - exact.mean()) < 4 * solved.stderr()


@pytest.mark.slow
def test_the_random_numbers_of_an_image_are_its_own(denoise):
    x0 = Scaling(17).encode(pictures(17, 12))
    start = Dequantised(17)
    whole = ode().solve(denoise, Examples(x0), "test", 0, start)
    for other in (
        ode(batch=5).solve(denoise, Examples(x0), "test", 0, start),
        ode().solve(denoise, Examples(x0[:9]), "test", 0, start),
    ):
        torch.testing.assert_close(other.bits, whole.bits[: len(other.bits)], rtol=0, atol=1e-3)
    assert not torch.isclose(whole.bits[:, 0], whole.bits[:, 1]).any()
    for split, seed in (("val", 0), ("test", 1)):
        assert not torch.isclose(
            ode().solve(denoise, Examples(x0), split, seed, start).bits, whole.bits, atol=1e-3
        ).all()


@pytest.mark.slow
def test_of_any_images(denoise):
    data, x0 = data_of(17, 4), Scaling(17).encode(pictures(17, 12))
    mean, error = ode().of(denoise, data, Examples(x0), 0)
    solved = ode().solve(denoise, Examples(x0), "x", 0, Dequantised(17))
    assert mean == solved.mean()
    assert error == pytest.approx((float(solved.bits.mean(1).var()) / 12) ** 0.5)
    assert ode().of(denoise, data, Examples(x0[:1]), 0)[1] == pytest.approx(solved_alone(denoise, x0[:1]))


def solved_alone(denoise, x0):
    return ode().solve(denoise, Examples(x0), "x", 0, Dequantised(17)).stderr()


@pytest.mark.parametrize("name", options("likelihood"))
def test_every_likelihood_is_quick(denoise, name):
    chain = option("schedule", "linear", "schedule.T=100")
    chosen = option("likelihood", name)
    schedule = chain if chosen.chain else denoise.schedule
    network = Denoiser(denoise.network, schedule, V())
    found = chosen.quick(network, data_of(17, 4), 300, 0)
    assert found["bits_per_dim_calls"] * found["bits_per_dim_images"] <= 300
    assert found["bits_per_dim_images"] == 40
    assert 0 < found["bits_per_dim_stderr"] < 0.3 * found["bits_per_dim"]
    assert found == chosen.quick(network, data_of(17, 4), 300, 0)


@pytest.mark.parametrize(("changes", "field"), [({"draws": 1}, "draws: 1"), ({"rtol": 0.0}, "rtol: 0")])
def test_refusals_name_the_field(changes, field):
    with pytest.raises((ConfigError, ValueError), match=rf"^likelihood\.{field}"):
        ode(**changes)


@pytest.mark.slow
def test_two_processes_find_what_one_does(tmp_path):
    """Every likelihood, by two real processes on gloo, and here by this one."""
    script, names = Path(__file__).with_name("two_processes.py"), ["ode", "stratified", "exact"]
    children = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "meet"), str(rank), "2", *names],
            env=os.environ | {"DIFFLAB_QUIET": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    alone = figures(names)
    outputs = [child.communicate(timeout=200)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    first, second = (json.loads(text) for text in outputs)
    assert first == second
    for name in names:
        assert first[name].keys() == alone[name].keys()
        for figure, value in alone[name].items():
            assert first[name][figure] == pytest.approx(value, abs=1e-6), (name, figure)
