"""RePaint on a Gaussian: the whole sampler is an affine map of its noise, so that its law is computed, not estimated.

The mean is what comes of noise that is zero; the variance is the sum over every number that is drawn of the response
to it, squared.
"""

from itertools import pairwise

import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.process import Posterior, expand
from difflab.randomness import SampleNoise
from difflab.samplers import DDIM, Ancestral, Quadratic, RePaint, Uniform
from difflab.schedules import Linear
from tests.conftest import Formula, every, option

SCHEDULE = Linear(1000, 1e-4, 0.02)
MEAN = torch.tensor([0.2, -0.3], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.3, 0.24], [0.24, 0.25]], dtype=torch.float64)
KNOWN = 0.9  # the value of the first pixel
GIVEN_MEAN = -0.3 + 0.24 / 0.3 * (KNOWN - 0.2)
GIVEN_VARIANCE = 0.25 - 0.24**2 / 0.3


def exact(x, t):
    """E[x_0 | x_t] of the Gaussian; all rows at one time."""
    alpha, sigma, _ = SCHEDULE.marginal(t[:1])
    gain = alpha * COVARIANCE @ torch.linalg.inv(alpha**2 * COVARIANCE + sigma**2 * torch.eye(2).double())
    return MEAN + (x - alpha * MEAN) @ gain.T


DENOISE = Denoiser(Formula(exact), SCHEDULE, X0())


def law(repaint):
    """Mean and variance of the second pixel, given the first."""
    moves = repaint.moves(len(repaint.sampler.times(SCHEDULE)))
    forth = sum(b > a for a, b in moves)
    draws = 2 + len(moves) + (0 if isinstance(repaint.sampler, DDIM) else forth)
    rows, now = 2 * draws + 1, [0]  # the last one is told no noise

    def impulse():
        noise = torch.zeros(rows, 2, dtype=torch.float64)
        noise[now[0]][0] = noise[now[0] + 1][1] = 1
        now[0] += 2
        return noise

    x0, known = torch.tensor([KNOWN, 5.0], dtype=torch.float64), torch.tensor([True, False])
    found = repaint.complete(DENOISE, SCHEDULE, impulse, x0.expand(rows, -1), known)
    assert now[0] == 2 * draws and (found[:, 0] == KNOWN).all()
    return float(found[-1, 1]), float((found[:-1, 1] - found[-1, 1]).square().sum())


def test_replacement_alone_is_biased_and_resampling_brings_the_conditional_law():
    """The mean is 0.26, the variance 0.058; what is left goes with a finer grid (docs/conditioning.md)."""
    ancestral = Ancestral(Uniform(), 50, False, Posterior())
    alone, twice, often = (law(RePaint(ancestral, 5, r)) for r in (1, 2, 5))
    assert GIVEN_MEAN - alone[0] > 0.18 and alone[1] > 1.19 * GIVEN_VARIANCE  # the known pixel is hardly heard
    assert GIVEN_MEAN - 0.115 < twice[0] < GIVEN_MEAN - 0.08 < often[0] < GIVEN_MEAN
    assert abs(often[1] / GIVEN_VARIANCE - 1) < 0.05
    fine = law(RePaint(DDIM(Quadratic(), 50, False, 0.0, Posterior()), 2, 10))
    assert abs(fine[0] - GIVEN_MEAN) < 0.031 and abs(fine[1] / GIVEN_VARIANCE - 1) < 0.05


def test_the_way_walks_each_stretch_as_often_as_published():
    """250 steps, jump 10, 10 times: a way that never leaves the grid and takes each step of the stretches 10 times."""
    moves = RePaint(Ancestral(Uniform(), 250, False, Posterior()), 10, 10).moves(250)
    assert moves[0] == (0, 1) and moves[-1] == (248, 249)
    assert all(a[1] == b[0] for a, b in pairwise(moves))
    back = [move for move in moves if move[1] < move[0]]
    assert {a - b for a, b in back} == {10} and len(back) == 24 * 9
    assert {a for a, _ in back} == {249 - 10 * k for k in range(24)}
    times = {i: moves.count((i, i + 1)) for i in range(249)}
    assert {n for i, n in times.items() if i < 9} == {1} and {n for i, n in times.items() if i >= 9} == {10}


@pytest.mark.parametrize(("steps", "jump", "moves"), [(1, 1, 0), (3, 10, 2), (3, 1, 2 + 2 * (2 * 2))])
def test_short_grids(steps, jump, moves):
    assert len(RePaint(Ancestral(Uniform(), steps, False, Posterior()), jump, 3).moves(steps)) == moves


def test_calls_are_counted():
    repaint = RePaint(Ancestral(Uniform(), 12, True, Posterior()), 2, 3)
    heard = []
    x0 = torch.zeros(2, 2, dtype=torch.float64)
    noise = SampleNoise(0, range(2), (2,))
    repaint.complete(DENOISE, SCHEDULE, lambda: noise().double(), x0, torch.tensor([True, False]), heard.append)
    assert heard[-1].calls == repaint.calls(SCHEDULE) == 12 + 5 * 2 * 2
    shares = [state.share for state in heard]
    assert shares == sorted(shares) and shares[-1] == 1 and heard[-1].t is None


def test_an_image_depends_on_its_own_noise_and_pixels_alone():
    repaint = RePaint(Ancestral(Uniform(), 20, True, Posterior()), 3, 2)
    x0 = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    known = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(1)) < 0.5
    denoise = Denoiser(Formula(lambda x, t: 0.3 * expand(t, x) * x), SCHEDULE, X0())

    def drawn(rows):
        noise = SampleNoise(4, rows, (1, 2, 2))
        return repaint.complete(denoise, SCHEDULE, noise, x0[list(rows)], known[list(rows)])

    whole = drawn(range(6))
    assert torch.equal(whole[known], x0[known])
    torch.testing.assert_close(torch.cat([drawn(range(2)), drawn(range(2, 6))]), whole)
    assert torch.equal(drawn(range(6)), whole)
    hidden = x0.where(known, 7.0)  # what is not known is not looked at
    noise = SampleNoise(4, range(6), (1, 2, 2))
    assert torch.equal(repaint.complete(denoise, SCHEDULE, noise, hidden, known), whole)


@pytest.mark.parametrize("sampler", every("sampler", "sampler.steps=6", least_variance=0.1))
def test_every_sampler_of_single_steps_completes_or_is_refused(sampler):
    single = type(sampler).__name__ in ("Ancestral", "DDIM", "PredictorCorrector", "DPMSolver", "UniPC")
    if not single:
        with pytest.raises(ValueError, match=r"sampler: \w+ does not go step by step .* allowed are ancestral, ddim"):
            RePaint(sampler, 2, 2)
        return
    x0, noise = torch.tensor([[KNOWN, 0.0]] * 3), SampleNoise(0, range(3), (2,))
    found = RePaint(sampler, 2, 2).complete(DENOISE, SCHEDULE, lambda: noise().double(), x0.double(), x0 != 0)
    assert found.isfinite().all() and (found[:, 0] == x0[:, 0].double()).all()


@pytest.mark.parametrize(
    ("jump", "resamplings", "message"), [(0, 1, r"repaint\.jump: 0"), (1, 0, r"repaint\.resamplings: 0; allowed")]
)
def test_numbers_that_cannot_be_are_refused(jump, resamplings, message):
    with pytest.raises(ValueError, match=message):
        RePaint(option("sampler", "ancestral"), jump, resamplings)
