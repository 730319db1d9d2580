"""Guidance on a mixture whose classes are known exactly: the guided score is that of p(x) p(c | x)^scale."""

import math

import pytest
import torch

from difflab.condition import UNKNOWN, Classes, Condition, Unconditional
from difflab.distributions import Mixture
from difflab.guidance import ClassifierFree, Given, Remembering, rescaled
from difflab.models import Oracle
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.schedules import Marginal
from tests.conftest import option

MEANS = [[-1.0, 0.2], [0.8, -0.5]]
VARIANCES = [0.05, 0.4]
WEIGHTS = [0.3, 0.7]
WHOLE = Mixture(WEIGHTS, MEANS, VARIANCES)
OF_CLASS = [Mixture([1.0], [mean], [variance]) for mean, variance in zip(MEANS, VARIANCES, strict=True)]


class Exact(Oracle):
    """Knows the law of each class and, where none is told, that of all; can be asked what it was told."""

    def __init__(self, parameterisation):
        super().__init__(WHOLE, parameterisation)
        self.heard = []

    def forward(self, x, c_noise, condition=None):
        self.heard.append(condition)
        told = torch.full((len(x),), UNKNOWN) if condition is None else condition.classes
        laws = {UNKNOWN: WHOLE} | dict(enumerate(OF_CLASS))
        each = [
            Oracle(laws[int(c)], self.parameterisation)(x[i : i + 1], c_noise[i : i + 1]) for i, c in enumerate(told)
        ]
        return torch.cat([torch.cat(each), 7 * told[:, None].expand_as(x)], 1)  # the second half is beside F


def given(prediction="v", schedule="linear", n=12):
    """A denoiser that is told classes, and points at all noise levels."""
    generator = torch.Generator().manual_seed(0)
    parameterisation = option("prediction", prediction, sigma_data=0.8)
    schedule = option("schedule", schedule)
    denoise = Denoiser(Exact(parameterisation), schedule, parameterisation, Classes(0.1))
    t = torch.linspace(0.02, 0.99, n, dtype=torch.float64)
    classes = torch.arange(n) % 2
    at = schedule.marginal(t)
    x = expand(at.alpha, classes.double()) * 0.3 + expand(at.sigma, classes.double())
    x = x[:, None] * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return Given(denoise, Condition(classes=classes)), x, t


def guide(scale=2.0, sigma_min=0.0, sigma_max=math.inf, rescale=0.0):
    return ClassifierFree(scale, sigma_min, sigma_max, rescale)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "edm", "flow"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_the_score_is_that_of_the_tilted_law(prediction, scale):
    """grad log p(x_t) p(c | x_t)^scale, by automatic differentiation of the densities."""
    denoise, x, t = given(prediction)
    score = guide(scale)(denoise)(x, t).score
    y = x.clone().requires_grad_()
    at = denoise.schedule.marginal(t)
    joint = torch.stack([math.log(w) + law.log_density(y, at) for w, law in zip(WEIGHTS, OF_CLASS, strict=True)], 1)
    posterior = joint.log_softmax(1)[torch.arange(len(y)), denoise.condition.classes]
    tilted = joint.logsumexp(1) + scale * posterior
    (exact,) = torch.autograd.grad(tilted.sum(), y)
    torch.testing.assert_close(score, exact, rtol=1e-6, atol=1e-7)


def test_without_guidance_it_is_the_conditional_prediction_bit_for_bit_in_one_call():
    denoise, x, t = given()
    plain = denoise(x, t)
    for guidance in (guide(1.0), guide(3.0, sigma_min=1e4), guide(3.0, sigma_max=1e-9)):
        denoise.network.heard.clear()
        guided = guidance(denoise)(x, t)
        assert all(torch.equal(a, b) for a, b in zip(vars(plain).values(), vars(guided).values(), strict=True))
        assert [len(told.classes) for told in denoise.network.heard] == [len(x)]


def test_within_the_interval_alone_it_guides_by_one_call_of_both_halves():
    denoise, x, t = given()
    at = denoise.schedule.marginal(t)
    ratio = at.sigma / at.alpha
    guidance = guide(3.0, sigma_min=float(ratio[3]), sigma_max=float(ratio[8]))  # both ends belong to it
    plain, everywhere, found = denoise(x, t), guide(3.0)(denoise)(x, t), guidance(denoise)(x, t)
    inside = torch.arange(len(x)).clamp(3, 8) == torch.arange(len(x))
    assert torch.equal(found.x0[~inside], plain.x0[~inside])
    assert torch.equal(found.x0[inside], everywhere.x0[inside])
    assert not torch.isclose(found.x0[inside], plain.x0[inside]).all(1).any()
    assert len(denoise.network.heard) == 3
    told, untold = denoise.network.heard[-1].classes.chunk(2)
    assert torch.equal(told, denoise.condition.classes) and (untold == UNKNOWN).all()


def test_a_marginal_for_all_is_that_of_each():
    denoise, x, _ = given()
    t = torch.full((len(x),), 0.4, dtype=torch.float64)
    one = Marginal(*(c[0] for c in denoise.schedule.marginal(t)))
    torch.testing.assert_close(guide()(denoise)(x, t, one).x0, guide()(denoise)(x, t).x0)


def test_outputs_beside_the_prediction_are_the_told_ones():
    denoise, x, t = given()
    assert torch.equal(guide()(denoise)(x, t).extra, denoise(x, t).extra)


def test_where_alpha_is_0_it_guides_too():
    denoise, x, _ = given("v", "flow")
    t = torch.ones(len(x), dtype=torch.float64)
    found = guide()(denoise)(x, t)
    assert found.x0.isfinite().all() and len(denoise.network.heard[-1].classes) == 2 * len(x)


def test_rescaled_outputs_have_the_spread_of_the_told_ones():
    denoise, x, t = given()
    told, full = denoise(x, t).output, guide(4.0, rescale=1.0)(denoise)(x, t).output
    torch.testing.assert_close(full.std(1), told.std(1))
    guided, half = (guide(4.0, rescale=share)(denoise)(x, t).output for share in (0.0, 0.5))
    assert not torch.allclose(guided.std(1), told.std(1))
    torch.testing.assert_close(half, (guided + full) / 2)


def test_rescaling_equals_that_of_the_paper_image_by_image():
    """Equations 15 and 16 of Lin et al., as rescale_noise_cfg of diffusers has them."""
    guided, told = torch.randn(2, 5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for share in (0.0, 0.7, 1.0):
        for x_cfg, x_pos, found in zip(guided, told, rescaled(guided, told, share), strict=True):
            x_rescaled = x_cfg * (x_pos.std() / x_cfg.std())
            torch.testing.assert_close(found, share * x_rescaled + (1 - share) * x_cfg)


def test_an_output_without_spread_stays():
    assert torch.equal(rescaled(torch.ones(2, 3), torch.randn(2, 3), 0.7), torch.ones(2, 3))


def test_both_halves_are_told_the_guided_estimate_of_the_call_before():
    denoise, x, t = given()
    seen = Remembering(guide()(denoise))
    first = seen(x, t)
    seen(x, t)
    before, now = denoise.network.heard
    assert before.x0 is None
    assert torch.equal(now.x0, torch.cat([first.x0, first.x0]))
    assert torch.equal(now.classes, before.classes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1.0, 0.0, 1.0, 0.0), r"guidance\.scale: -1\.0; allowed are numbers from 0"),
        ((math.inf, 0.0, 1.0, 0.0), r"guidance\.scale: inf"),
        ((2.0, 1.0, 1.0, 0.0), r"guidance\.sigma_min: 1\.0; allowed are numbers from 0 to below sigma_max: 1\.0"),
        ((2.0, -1.0, 1.0, 0.0), r"guidance\.sigma_min: -1\.0"),
        ((2.0, 0.0, 1.0, 1.5), r"guidance\.rescale: 1\.5; allowed are numbers from 0 to 1"),
    ],
)
def test_values_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ClassifierFree(*values)


def test_a_network_that_cannot_be_guided_is_refused():
    with pytest.raises(ValueError, match=r"guidance: classifier_free; the network is told no condition"):
        guide(1.0).check(Unconditional())
    with pytest.raises(ValueError, match=r"guidance\.scale: 2\.0; the network was trained with condition\.drop=0"):
        guide(2.0).check(Classes(0.0))
    guide(1.0).check(Classes(0.0))
    guide(2.0).check(option("condition", "inpainting"))
