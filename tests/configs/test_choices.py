"""Every schedule x prediction x loss, every sampler x schedule: each trains or samples, or is refused with a reason.

The options are found in the folders; docs/mathematics.md says how many ran and how many did not.
"""

import re
from collections import Counter
from itertools import product
from math import prod
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from difflab.distributions import Gaussian
from difflab.errors import ConfigError
from difflab.evaluation import measure
from difflab.losses import Noised
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.runs.assemble import schedule_of
from difflab.runs.build import build
from difflab.runs.refusals import TABLE, Choices, refuse
from tests.conftest import composed, fitting, option, options

DOCS = Path(__file__).parents[2] / "docs" / "mathematics.md"
SHAPE = (1, 4, 4)
SCHEDULES = [(schedule, "none") for schedule in options("schedule")]
SCHEDULES += [("linear", warp) for warp in options("warp") if warp != "none"]
FAMILY = ("simple", "output", "snr", "truncated_snr", "min_snr", "soft_min_snr", "p2", "edm")


class Line(nn.Module):
    """w x + b t for each output: a network with something to train."""

    def __init__(self, outputs):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(0.3, 0.2, outputs).reshape(-1, 1, 1))
        self.b = nn.Parameter(torch.full((outputs, 1, 1), -0.2))

    def c_noise(self, schedule, t):
        return t.float()

    def forward(self, x, t):
        return self.w * x + self.b * t.reshape(-1, 1, 1, 1)


def together(schedule, warp, prediction, loss):
    """A config of these options, with the times and the variance that the loss recommends."""
    of_loss = composed(f"loss={loss}")
    parts = {group: of_loss[group] for group in ("loss", "times", "variance")}
    parts |= {"schedule": composed(f"schedule={schedule}").schedule, "warp": composed(f"warp={warp}").warp}
    return OmegaConf.create(parts | {"prediction": composed(f"prediction={prediction}").prediction})


def chosen(config, distribution=None):
    """The parts that training has, as a run builds them, on a network of two numbers; refused like a run.

    The law of the data is not known, as that of images, unless it is given.
    """
    schedule = schedule_of({"schedule": config.schedule, "warp": dict(config.warp), "targets": []}, SHAPE)
    parameterisation = build(config.prediction, "prediction", sigma_data=0.5)
    variance = build(config.variance, "variance")
    loss = build(config.loss, "loss", levels=17, sigma_data=0.5, dimensions=prod(SHAPE), distribution=distribution)
    denoise = Denoiser(Line(1 + variance.outputs), schedule, parameterisation)
    times = build(config.times, "times", loss=loss, denoise=denoise, schedule=schedule)
    refuse(Choices(schedule, parameterisation, variance, loss, times))
    return denoise, loss, times


def trains(denoise, loss, times):
    """One optimizer step on a batch of the whole range of times, with finite numbers all along."""
    draw = torch.Generator().manual_seed(0)
    x0 = torch.randint(17, (32, *SHAPE), generator=draw) / 8 - 1
    eps = torch.randn(x0.shape, generator=draw)
    uniform = (torch.arange(32, dtype=torch.float64) + 0.999) / 32
    t, weight = times(uniform, denoise.schedule)
    t[-1], t[0] = 1, denoise.schedule.t_min
    x_t = diffuse(denoise.schedule, x0, eps, t)
    value = loss(denoise, Noised(x0, eps, t, x_t, lambda: torch.randn(x0.shape, generator=draw)), denoise.schedule)
    trained = [p for module in (denoise, loss) if isinstance(module, nn.Module) for p in module.parameters()]
    optimizer = torch.optim.SGD(trained, 1e-6)
    (value * weight.to(value)).mean().backward()
    optimizer.step()
    assert value.shape == (32,)
    assert value.isfinite().all() and weight.isfinite().all()
    assert all(p.isfinite().all() and (p.grad is None or p.grad.isfinite().all()) for p in trained)
    assert denoise.network.w.grad.any()


def reason_of(error):
    """The row of the table that an error tells."""
    (why,) = [row.why for row in TABLE if str(error).endswith(row.why)]
    return why


def said(what):
    """The numbers of (ran, refused) in the page, for this kind of choice."""
    found = re.search(rf"(\d+) {what} ran, (\d+) were refused", DOCS.read_text().replace("\n", " "))
    assert found, f"{DOCS} does not say how many {what} ran"
    return tuple(int(number) for number in found.groups())


@pytest.mark.slow
def test_every_triple_of_schedule_prediction_and_loss_trains_or_is_refused():
    ran, refused = 0, Counter()
    for (schedule, warp), prediction, loss in product(SCHEDULES, options("prediction"), options("loss")):
        names = f"schedule={schedule}", f"warp={warp}", f"prediction={prediction}", f"loss={loss}"
        try:
            parts = chosen(together(schedule, warp, prediction, loss))
        except ConfigError as error:
            refused[reason_of(error)] += 1
            needs_alpha = prediction in ("eps", "score", "direct_score", "edm")
            ends_in_noise = schedule == "flow" or warp == "zero_terminal_snr"
            assert loss not in FAMILY or schedule == "learned" or (needs_alpha and ends_in_noise), names
            continue
        try:
            trains(*parts)
        except AssertionError as error:
            raise AssertionError(f"{names}: {error}") from error
        ran += 1
    for reason, number in refused.most_common():
        print(f"refused {number}: {reason}")
    print(f"{ran} triples ran, {refused.total()} were refused")
    assert said("triples") == (ran, refused.total())


def test_explicit_score_matching_trains_where_the_score_is_known():
    trains(*chosen(composed("loss=explicit"), Gaussian(torch.zeros(SHAPE), 0.25)))


def test_the_weight_of_a_level_is_learned_around_any_loss():
    """EDM2's own base wants sigma_data from the data; a bound in it wants times that are divided."""
    edm = "loss.base._target_=difflab.losses.EDM"
    denoise, loss, times = chosen(composed("loss=uncertainty", edm, "times=lognormal", "prediction=edm"))
    assert loss.base.sigma_data == 0.5
    trains(denoise, loss, times)


@pytest.mark.parametrize("variance", options("variance"))
@pytest.mark.parametrize("loss", ["vlb", "hybrid", "simple"])
def test_variances_train_with_the_bound_or_are_refused(variance, loss):
    fine = {"vlb": {"posterior", "forward", "learned"}, "hybrid": {"learned"}}
    fine["simple"] = {"posterior", "forward", "analytic"}
    names = [f"variance={variance}", f"loss={loss}"]
    if variance in fine[loss]:
        trains(*chosen(composed(*names)))
    else:
        with pytest.raises(ConfigError):
            chosen(composed(*names))


@pytest.mark.slow
@pytest.mark.parametrize("times", options("times"))
@pytest.mark.parametrize("loss", ["vlb", "hybrid", "simple", "uncertainty"])
@pytest.mark.parametrize("schedule", ["linear", "vp", "geometric"])
def test_times_train_or_are_refused(schedule, loss, times):
    names = [f"schedule={schedule}", f"loss={loss}", f"times={times}"]
    if (loss == "hybrid" and schedule != "linear") or (
        loss in ("vlb", "hybrid") and times in ("lognormal", "logit_normal", "log_snr", "one_level")
    ):
        with pytest.raises(ConfigError):
            chosen(composed(*names))
    else:
        trains(*chosen(composed(*names)))


@pytest.mark.slow
def test_every_sampler_runs_on_every_schedule_or_is_refused():
    ran, refused = 0, Counter()
    data = option("data", "digits")
    data.setup()
    for name, (schedule, warp) in product(options("sampler"), SCHEDULES):
        parts = {"schedule": composed(f"schedule={schedule}").schedule, "warp": dict(composed(f"warp={warp}").warp)}
        path = schedule_of(parts | {"targets": []}, data.shape)
        denoise = Denoiser(Line(1), path, option("prediction", "v"))
        sampler = option("sampler", name, *fitting("sampler", name, ("sampler.steps=12",)))
        draw = torch.Generator().manual_seed(0)
        try:
            calls = sampler.calls(path)
        except ValueError as error:
            refused[str(error)] += 1
            continue
        measure(sampler, denoise, data)
        with torch.no_grad():
            states = sampler.trajectory(denoise, path, lambda draw=draw: torch.randn(3, 1, 8, 8, generator=draw))
        assert states[-1].x.isfinite().all(), (name, schedule, warp)
        assert calls in (None, states[-1].calls)
        ran += 1
    for reason, number in refused.most_common():
        print(f"refused {number}: {reason}")
    print(f"{ran} pairs of sampler and schedule ran, {refused.total()} were refused")
    assert said("pairs of sampler and schedule") == (ran, refused.total())


@pytest.mark.slow
def test_each_refusal_of_the_table_is_reached():
    """No row is dead: a choice from the command line for each reason."""
    reasons = set()
    tried = [
        ("schedule=flow", "prediction=eps"),
        ("schedule=learned", "loss=simple"),
        ("loss=vlb", "times=lognormal"),
        ("loss=explicit",),
        (
            "loss=uncertainty",
            "loss.base._target_=difflab.losses.Implicit",
            "+loss.base={power: 2.0, noise: null, most: 64}",
        ),
        ("variance=learned",),
        ("schedule=vp", "loss=vlb", "variance=learned"),
        ("loss=vlb", "variance=analytic"),
        ("schedule=vp", "loss=hybrid", "variance=posterior"),
        ("loss=hybrid", "variance=posterior"),
    ]
    for names in tried:
        with pytest.raises(ConfigError) as caught:
            chosen(composed(*names))
        reasons.add(reason_of(caught.value))
    posterior, learned = option("variance", "posterior"), option("variance", "learned")
    schedule, prediction = option("schedule", "vp"), option("prediction", "eps")
    chain = option("likelihood", "stratified")
    sampler = option("sampler", "ancestral", "variance=learned")
    for choices in (
        Choices(schedule, prediction, posterior, likelihood=chain),
        Choices(schedule, prediction, posterior, option("loss", "vlb", levels=17), levels=None),
        Choices(option("schedule", "linear"), prediction, posterior, sampler=sampler),
        Choices(
            option("schedule", "linear"),
            prediction,
            posterior,
            option("loss", "vlb", levels=17),
            option("times", "uniform"),
            augmentation=option("augmentation", "edm"),
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse(choices)
        reasons.add(reason_of(caught.value))
    assert learned.outputs == 1
    assert reasons == {row.why for row in TABLE}
