"""The parts of an experiment, built from its config: the same for training, for scripts and for load_run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import Likelihood, Protocol
from difflab.features import Extractor
from difflab.prediction import Denoiser
from difflab.runs.build import build
from difflab.samplers import Sampler


@dataclass
class Parts:
    """A data set that has been read, and the denoiser, sampler and measures that fit it."""

    data: ImageData
    denoiser: Denoiser
    sampler: Sampler
    likelihood: Likelihood
    protocol: Protocol
    extractor: Extractor


def denoiser_of(config: Mapping[str, Any], shape: tuple[int, ...]) -> Denoiser:
    """The network of a config with its schedule and parameterisation.

    Raises:
        ConfigError: for whatever a constructor refuses.
    """
    more = list(config["targets"])
    torch.manual_seed(config["seed"])  # the first weights are a function of the seed, whatever was drawn before
    return Denoiser(
        build(config["model"], "model", more, shape=shape),
        build(config["schedule"], "schedule", more),
        build(config["prediction"], "prediction", more),
    )


def sampler_of(config: Mapping[str, Any], denoiser: Denoiser) -> Sampler:
    """The sampler of a config, with its grid tried on the schedule.

    Raises:
        ConfigError: where the two do not fit.
    """
    sampler = build(config["sampler"], "sampler", list(config["targets"]))
    try:
        sampler.times(denoiser.schedule)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return sampler


def assemble(config: Mapping[str, Any]) -> Parts:
    """Everything but what is only for training.

    Raises:
        ConfigError: for whatever a constructor or the data refuses.
    """
    more = list(config["targets"])
    data = build(config["data"], "data", more)
    data.setup()
    denoiser = denoiser_of(config, data.shape)
    return Parts(
        data,
        denoiser,
        sampler_of(config, denoiser),
        build(config["likelihood"], "likelihood", more),
        build(config["metrics"], "metrics", more),
        build(config["features"], "features", more),
    )
