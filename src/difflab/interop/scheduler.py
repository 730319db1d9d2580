"""The config of a diffusers scheduler as choices of ours, and back."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from difflab.errors import ConfigError
from difflab.prediction import X0, Denoiser, Eps, V
from difflab.process import Forward, Learned, Posterior, Variance
from difflab.samplers import Leading, Sampler
from difflab.schedules import Cosine, Linear, Quadratic, Schedule, ZeroTerminalSnr

SCHEDULES = {"linear": "linear", "scaled_linear": "quadratic", "squaredcos_cap_v2": "cosine"}
PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
VARIANCES = {
    "fixed_small": "posterior",
    "fixed_small_log": "posterior",
    "fixed_large": "forward",
    "fixed_large_log": "forward",
    "learned_range": "learned",
}
SAMPLERS = {"DDPMScheduler": "ancestral", "DDIMScheduler": "ddim"}
OTHERS = ("PNDMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler")  # of the same chain


def choices_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides of train.yaml for the config of a scheduler.

    Raises:
        ConfigError: naming the first field that none of our options says.
    """
    kind = config.get("_class_name", "DDPMScheduler")

    def chosen(field: str, silent: Any, table: Mapping[Any, str]) -> str:
        value = config.get(field, silent)
        if not isinstance(value, Hashable) or value not in table:
            raise ConfigError(
                f"weights: the scheduler has {field}: {value}; allowed here are {', '.join(map(str, table))}"
            )
        return table[value]

    known = {name: name for name in (*SAMPLERS, *OTHERS)}
    chosen("_class_name", kind, known)
    chosen("trained_betas", None, {None: "none"})
    T = config.get("num_train_timesteps", 1000)
    found: dict[str, Any] = {
        "schedule": chosen("beta_schedule", "linear", SCHEDULES),
        "schedule.T": T,
        "prediction": chosen("prediction_type", "epsilon", PREDICTIONS),
    }
    if found["schedule"] != "cosine":
        first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
        found["schedule.beta_first"] = first if T == 1000 else first * T / 1000
        found["schedule.beta_last"] = last if T == 1000 else last * T / 1000
    if config.get("rescale_betas_zero_snr"):
        found["warp"] = "zero_terminal_snr"
    if "variance_type" in config:
        found["variance"] = chosen("variance_type", None, VARIANCES)
    if kind in SAMPLERS:
        chosen("clip_sample_range", 1.0, {1.0: "one"})
        ratio = config.get("dynamic_thresholding_ratio", 0.995) if config.get("sample_max_value", 1.0) > 1 else True
        found["sampler"] = SAMPLERS[kind]
        found["sampler.clip"] = ratio if config.get("thresholding") else config.get("clip_sample", True)
    return found


def config_of(denoise: Denoiser, variance: Variance, sampler: Sampler) -> dict[str, Any]:
    """The config of the `DDPMScheduler` of a denoiser of ours; `DDIMPipeline` makes its own of it.

    Args:
        denoise: of ours.
        variance: that its network was trained for.
        sampler: that it is sampled with: its own variance counts, unless the network says one.

    Raises:
        ConfigError: naming what diffusers has no word for.
    """
    predictions: dict[type, str] = {Eps: "epsilon", X0: "sample", V: "v_prediction"}
    variances: dict[type, str] = {Posterior: "fixed_small", Forward: "fixed_large", Learned: "learned_range"}
    if variance.outputs == 0:
        variance = getattr(sampler, "variance", variance)
    prediction = predictions.get(type(denoise.parameterisation))
    if prediction is None:
        name = type(denoise.parameterisation).__name__
        raise ConfigError(f"format: diffusers; DDPMScheduler has no prediction {name}: allowed are eps, x0, v")
    if type(variance) not in variances:
        name = type(variance).__name__
        raise ConfigError(
            f"format: diffusers; DDPMScheduler has no variance {name}: allowed are posterior, forward, learned"
        )
    clip = getattr(sampler, "clip", True)
    return betas(denoise.schedule) | {
        "_class_name": "DDPMScheduler",
        "clip_sample": clip is True,
        "prediction_type": prediction,
        "thresholding": not isinstance(clip, bool),
        "dynamic_thresholding_ratio": 0.995 if isinstance(clip, bool) else clip,
        "sample_max_value": 1.0 if isinstance(clip, bool) else 1e6,
        "timestep_spacing": "leading" if isinstance(getattr(sampler, "grid", None), Leading) else "trailing",
        "variance_type": variances[type(variance)],
    }


def betas(schedule: Schedule) -> dict[str, Any]:
    """The fields that say the betas: a formula of theirs where it is ours, else the betas themselves.

    Raises:
        ConfigError: for a schedule that is no chain, or has no betas.
    """
    zero = isinstance(schedule, ZeroTerminalSnr)
    inner = schedule.schedule if isinstance(schedule, ZeroTerminalSnr) else schedule
    if schedule.T is None or any(True for _ in schedule.parameters()):
        raise ConfigError(
            f"format: diffusers; schedule {type(schedule).__name__} has no fixed betas of T steps, which DDPMScheduler "
            "is made of: allowed are linear, cosine, quadratic, sigmoid"
        )
    k = torch.arange(0, schedule.T + 1, dtype=torch.float64) / schedule.T
    alpha, sigma, _ = inner.marginal(k[1:])
    if not torch.allclose(alpha**2 + sigma**2, torch.ones_like(alpha)):
        raise ConfigError(
            f"format: diffusers; schedule {type(schedule).__name__} does not preserve the variance, and DDPMScheduler "
            "knows no other: allowed are linear, cosine, quadratic, sigmoid"
        )
    abar = torch.cat([torch.ones(1, dtype=torch.float64), alpha**2])
    beta = 1 - abar[1:] / abar[:-1]
    said: dict[str, Any] = {"num_train_timesteps": schedule.T, "rescale_betas_zero_snr": zero}
    for kind, name in ((Linear, "linear"), (Quadratic, "scaled_linear")):
        if type(inner) is kind:
            first, last = (float(f"{b:.12g}") for b in (beta[0], beta[-1]))
            return said | {"beta_schedule": name, "beta_start": first, "beta_end": last}
    published = type(inner) is Cosine and torch.allclose(alpha, Cosine(schedule.T, 0.008, 0.999).marginal(k[1:]).alpha)
    return said | ({"beta_schedule": "squaredcos_cap_v2"} if published else {"trained_betas": beta.tolist()})
