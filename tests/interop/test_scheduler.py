import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler

from difflab.errors import ConfigError
from difflab.interop import scheduler
from difflab.prediction import Denoiser
from difflab.process import Variance
from difflab.samplers import Ancestral, Sampler, Uniform
from tests.conftest import Formula, composed, option

SAYS = {
    "linear": {},
    "fewer steps": {"num_train_timesteps": 250, "beta_start": 4e-4, "beta_end": 0.08},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 8.5e-4, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 100},
    "zero": {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
}


def abar_of(*overrides: str) -> torch.Tensor:
    """alpha^2 at every step of the schedule that a command line chooses."""
    config = composed(*overrides)
    schedule = option("schedule", overrides[0].partition("=")[2], *overrides)
    if config.warp._target_ is not None:
        schedule = option("warp", "zero_terminal_snr", schedule=schedule)
    k = torch.arange(1, schedule.T + 1, dtype=torch.float64)
    return schedule.marginal(k / schedule.T).alpha ** 2


def overrides_of(choices: dict) -> list[str]:
    """As on a command line, without what samplers say."""
    return [f"{field}={value}" for field, value in choices.items() if not field.startswith("sampler.")]


@pytest.mark.parametrize("name", SAYS)
def test_the_schedule_is_theirs(name):
    theirs = DDPMScheduler(**SAYS[name])
    found = scheduler.choices_of(theirs.config | {"_class_name": "DDPMScheduler"})
    assert next(iter(found)) == "schedule"
    torch.testing.assert_close(
        abar_of(*overrides_of(found)), theirs.alphas_cumprod.double(), atol=1e-6, rtol=2e-5, check_dtype=False
    )


def test_what_it_says_beside_the_schedule():
    said = {"prediction_type": "sample", "variance_type": "fixed_small_log", "clip_sample": False}
    found = scheduler.choices_of(dict(DDPMScheduler(**said).config) | {"_class_name": "DDPMScheduler"})
    assert (found["prediction"], found["variance"], found["sampler"]) == ("x0", "posterior", "ancestral")
    assert found["sampler.clip"] is False
    found = scheduler.choices_of(dict(DDIMScheduler().config) | {"_class_name": "DDIMScheduler"})
    assert (found["sampler"], found["sampler.clip"]) == ("ddim", True)
    assert "variance" not in found
    dynamic = {"thresholding": True, "sample_max_value": 5.0, "dynamic_thresholding_ratio": 0.9}
    assert scheduler.choices_of({"_class_name": "DDPMScheduler"} | dynamic)["sampler.clip"] == 0.9
    assert composed(*[f"{k}={v}" for k, v in found.items()]).sampler._target_.endswith("DDIM")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"beta_schedule": "sigmoid"}, "beta_schedule: sigmoid; allowed here are linear, scaled_linear, squaredcos_"),
        ({"prediction_type": "flow_prediction"}, "prediction_type: flow_prediction; allowed here are epsilon, sample,"),
        ({"variance_type": "learned"}, "variance_type: learned; allowed here are fixed_small"),
        ({"trained_betas": [0.1]}, "trained_betas: [0.1]; allowed here are None"),
        ({"clip_sample_range": 2.0}, "clip_sample_range: 2.0; allowed here are 1.0"),
        ({"_class_name": EulerDiscreteScheduler.__name__}, "_class_name: EulerDiscreteScheduler; allowed here are"),
    ],
)
def test_what_ours_cannot_say_is_refused_by_name(said, message):
    with pytest.raises(ConfigError) as refusal:
        scheduler.choices_of({"_class_name": "DDPMScheduler"} | said)
    assert message in str(refusal.value)


def said_of(
    schedule: str, prediction: str = "eps", variance: Variance | None = None, sampler: Sampler | None = None
) -> dict:
    """What is written of a denoiser of ours."""
    group, _, warp = schedule.partition("+")
    chosen = option("schedule", group)
    chosen = option("warp", warp, schedule=chosen) if warp else chosen
    denoise = Denoiser(Formula(lambda x, t: x), chosen, option("prediction", prediction, sigma_data=0.5))
    variance = variance or option("variance", "forward")
    return scheduler.config_of(denoise, variance, sampler or Ancestral(Uniform(), None, True, variance))


def test_the_variance_is_that_of_the_sampler_unless_the_network_says_it():
    of_sampler = Ancestral(Uniform(), None, True, option("variance", "posterior"))
    assert (
        said_of("linear", variance=option("variance", "forward"), sampler=of_sampler)["variance_type"] == "fixed_small"
    )
    assert (
        said_of("linear", variance=option("variance", "learned"), sampler=of_sampler)["variance_type"]
        == "learned_range"
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine", "quadratic", "sigmoid", "linear+zero_terminal_snr"])
def test_what_is_written_gives_diffusers_the_same_chain(schedule):
    said = said_of(schedule, "v")
    theirs = DDPMScheduler.from_config(said)
    group, _, warp = schedule.partition("+")
    expected = abar_of(f"schedule={group}", *([f"warp={warp}"] if warp else []))
    torch.testing.assert_close(theirs.alphas_cumprod.double(), expected, atol=1e-6, rtol=5e-5)
    assert ("trained_betas" in said) == (schedule == "sigmoid")


@pytest.mark.parametrize("variance", ["posterior", "forward", "learned"])
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_what_is_written_is_read_again(variance, prediction):
    said = said_of("linear", prediction, option("variance", variance))
    found = scheduler.choices_of(said)
    assert (found["schedule"], found["prediction"], found["variance"]) == ("linear", prediction, variance)
    assert (found["schedule.beta_first"], found["schedule.beta_last"]) == (1e-4, 0.02)


@pytest.mark.parametrize(
    ("schedule", "prediction", "variance", "message"),
    [
        ("vp", "eps", "forward", "schedule VP has no fixed betas"),
        ("karras", "eps", "forward", "schedule Karras has no fixed betas"),
        ("linear", "edm", "forward", "DDPMScheduler has no prediction EDM: allowed are eps, x0, v"),
        ("linear", "flow", "forward", "no prediction Flow"),
        ("linear", "eps", "analytic", "no variance Analytic: allowed are posterior, forward, learned"),
    ],
)
def test_what_diffusers_cannot_say_is_refused_by_name(schedule, prediction, variance, message):
    with pytest.raises(ConfigError, match=message):
        said_of(schedule, prediction, option("variance", variance))
