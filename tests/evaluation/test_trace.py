"""The states of a reverse process, and their film."""

from itertools import pairwise

import pytest
import torch

from difflab.evaluation import generate
from difflab.evaluation.film import film
from difflab.evaluation.trace import Moment, scaled, trace
from difflab.randomness import SampleNoise
from tests.conftest import gaussian_denoiser, option

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

GRID = ("schedule.T=100", "sampler.steps=100", "sampler.clip=false")


@pytest.fixture
def denoise():
    return gaussian_denoiser(option("schedule", "linear", "schedule.T=100"), 0.3, 0.5)


@pytest.mark.parametrize("name", ["ddim", "ancestral"])
def test_the_way_begins_with_the_noise_and_ends_with_the_samples(denoise, name):
    sampler = option("sampler", name, *GRID)
    moments = trace(denoise, sampler, (2,), 16, 5)
    assert len(moments) == 101
    assert torch.equal(moments[0].x, SampleNoise(5, range(16), (2,))())
    torch.testing.assert_close(moments[-1].x, generate(denoise, sampler, (2,), 16, 5, 16).samples)
    times = [m.t for m in moments[:-1] if m.t is not None]
    assert times == pytest.approx([1 - k / 100 for k in range(100)]) and moments[-1].t is None


def test_the_noise_is_that_of_the_prior():
    denoise = gaussian_denoiser(option("schedule", "geometric", "schedule.sigma_max=7.0"), 0.0, 1.0)
    moments = trace(denoise, option("sampler", "ddim", *GRID), (2,), 2000, 0, most=3)
    assert float(moments[0].x.std()) == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize("most", [2, 7, 60])
def test_some_states_are_evenly_spaced(denoise, most):
    sampler = option("sampler", "ddim", *GRID)
    moments = trace(denoise, sampler, (2,), 4, 5, most)
    assert len(moments) == most
    times = torch.tensor([1 - (m.t or 0.0) for m in moments])
    assert (times.diff() - 1 / (most - 1)).abs().max() <= 0.01 + 1e-6
    every = {m.t: m.x for m in trace(denoise, sampler, (2,), 4, 5)}
    assert all(torch.equal(m.x, every[m.t]) for m in moments)


@pytest.mark.parametrize("schedule", ["linear", "geometric", "flow"])
def test_states_are_shown_as_wide_as_the_data(schedule):
    draws = torch.Generator().manual_seed(0)
    denoise = gaussian_denoiser(option("schedule", schedule), 0.0, 0.5)
    for t in (0.05, 0.5, 1.0):
        alpha, sigma, _ = denoise.schedule.marginal(torch.tensor(t, dtype=torch.float64))
        x0, eps = (torch.randn(20000, 2, generator=draws) for _ in range(2))
        shown = scaled(Moment(t, (alpha * 0.5 * x0 + sigma * eps).float()), denoise, 0.5)
        assert float(shown.std()) == pytest.approx(0.5, rel=0.02)
    assert torch.equal(scaled(Moment(None, x0), denoise, 0.5), x0)


@pytest.mark.parametrize("name", ["digits", "two_moons"])
def test_a_film_has_a_frame_for_each_state(denoise, name):
    data = option("data", name)
    data.setup()
    frames = film(denoise, option("sampler", "ddim", "schedule.T=100", "sampler.steps=5"), data, 9, 0)
    assert frames.dtype == torch.uint8 and len(frames) == 6 and frames.shape[1] == 3
    assert all(not torch.equal(a, b) for a, b in pairwise(frames))
    if name == "digits":
        assert frames.shape[2:] == (28, 28)  # 3 times 8 and lines between
