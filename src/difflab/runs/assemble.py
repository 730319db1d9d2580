"""The parts of an experiment, built from its config: the same for training, for scripts and for load_run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from difflab.condition import Conditioning, Unconditional
from difflab.data import Augmentation, Indexed
from difflab.errors import ConfigError
from difflab.evaluation import Asked, Drawing, Guidance, Likelihood, Metrics, Store
from difflab.features import Extractor
from difflab.guidance import ClassifierFree
from difflab.models.winograd import winograd
from difflab.prediction import Denoiser
from difflab.process import Variance
from difflab.runs.build import build, wants
from difflab.runs.paths import cache_folder
from difflab.runs.refusals import Choices, refuse
from difflab.samplers import Sampler
from difflab.schedules import Schedule


@dataclass
class Parts:
    """A data set that has been read, and the denoiser, sampler and measures that fit it."""

    data: Indexed
    denoiser: Denoiser
    sampler: Sampler
    likelihood: Likelihood
    protocol: Metrics
    extractor: Extractor
    variance: Variance
    guidance: ClassifierFree | None = None

    def asked(self, seed: int, classes: Sequence[int] | None = None, guidance: Guidance | None = None) -> Asked:
        """What is asked of each sample of a generation.

        Args:
            guidance: None for that of the config.

        Raises:
            ConfigError: for classes that the network does not know.
        """
        return Asked(self.denoiser.conditioning, self.data, seed, classes, guidance or self.guidance)

    def drawing(self, config: Mapping[str, Any], store: Store | None = None) -> Drawing:
        """How samples are drawn, by `generation` of a config."""
        generation = config["generation"]
        asked = self.asked(generation["seed"])
        return Drawing(self.sampler, generation["seed"], generation["chunk"], store, asked, precision_of(config))


def precision_of(config: Mapping[str, Any]) -> str:
    """That of the network while samples are drawn, which runs of earlier versions do not say."""
    return config["generation"].get("precision", "32-true")


def schedule_of(config: Mapping[str, Any], shape: tuple[int, ...]) -> Schedule:
    """The schedule of a config, within its warp where it has one."""
    more = list(config["targets"])
    schedule = build(config["schedule"], "schedule", more)
    warp = config.get("warp") or {}
    return build(warp, "warp", more, schedule=schedule, shape=shape) if warp.get("_target_") else schedule


def denoiser_of(config: Mapping[str, Any], data: Indexed, outputs: int = 1) -> Denoiser:
    """The network of a config with its schedule and parameterisation.

    Args:
        data: owner of the shape, of sigma_data, and of the images of networks that are made of them.
        outputs: of the network for each channel.

    Raises:
        ConfigError: for whatever a constructor refuses.
    """
    more = list(config["targets"])
    schedule = schedule_of(config, data.shape)
    parameterisation = build(config["prediction"], "prediction", more, sigma_data=data.sigma_data)
    offers: dict[str, Any] = {"shape": data.shape, "outputs": outputs, "parameterisation": parameterisation}
    if wants(config["model"], "model", "images", more):
        offers["images"] = data.scaling.encode(data.train.values[:])
    if "distribution" not in config["model"] and wants(config["model"], "model", "distribution", more):
        if data.distribution is None:
            raise ConfigError("model: the law of this data is not known; allowed is data=gaussian_mixture, or oracle")
        offers["distribution"] = data.distribution
    conditioning = conditioning_of(config, data)
    offers |= told(config, data, conditioning)
    torch.manual_seed(config["seed"])  # the first weights are a function of the seed, whatever was drawn before
    network = build(config["model"], "model", more, **offers)
    if config.get("winograd"):  # which runs of earlier versions do not say
        network = winograd(network)
    return Denoiser(network, schedule, parameterisation, conditioning)


def conditioning_of(config: Mapping[str, Any], data: Indexed) -> Conditioning:
    """What the network of a config is told of an example; runs of earlier versions are told nothing.

    Raises:
        ConfigError: for classes of data without any, and images that do not fit the condition.
    """
    node = config.get("condition")
    conditioning = build(node, "condition", list(config["targets"])) if node else Unconditional()
    if conditioning.classes and not data.classes:
        raise ConfigError(f"condition: classes; {type(data).__name__} has none here: allowed are none, or other data")
    try:
        conditioning.channels(data.shape)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return conditioning


def told(config: Mapping[str, Any], data: Indexed, conditioning: Conditioning) -> dict[str, Any]:
    """The numbers that a network needs to know to be told a condition.

    Raises:
        ConfigError: for a network that cannot be told it.
    """
    augmentation = augmentation_of(config)
    numbers = {
        "classes": data.classes if conditioning.classes else 0,
        "told_channels": conditioning.channels(data.shape),
        "told_numbers": 0 if augmentation is None else augmentation.told,
    }
    reasons = {"classes": "a class", "told_channels": "an image", "told_numbers": "how an image was augmented"}
    for parameter, number in numbers.items():
        if number and not wants(config["model"], "model", parameter, list(config["targets"])):
            name = config["model"]["_target_"].rpartition(".")[2]
            field = "augmentation" if parameter == "told_numbers" else "condition"
            raise ConfigError(f"{field}: model {name} cannot be told {reasons[parameter]}; allowed is none")
    return numbers


def augmentation_of(config: Mapping[str, Any]) -> Augmentation | None:
    """How training images are augmented beside flips."""
    node = config.get("augmentation") or {}
    return build(node, "augmentation", list(config["targets"])) if node.get("_target_") else None


def guidance_of(config: Mapping[str, Any], denoiser: Denoiser) -> ClassifierFree | None:
    """How samples are guided.

    Raises:
        ConfigError: for a network that cannot be.
    """
    node = config.get("guidance") or {}
    if not node.get("_target_"):
        return None
    guidance = build(node, "guidance", list(config["targets"]))
    try:
        guidance.check(denoiser.conditioning)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return guidance


def untried_sampler(config: Mapping[str, Any], data: Indexed) -> Sampler:
    """The sampler of a config; x0_hat is clipped to the range of the data where it has one."""
    node = dict(config["sampler"])
    if "clip" in node and not data.bounded:
        node["clip"] = False
    least = 0.0 if data.distribution is None else data.distribution.least_variance
    return build(node, "sampler", list(config["targets"]), least_variance=least)


def sampler_of(config: Mapping[str, Any], denoiser: Denoiser, data: Indexed) -> Sampler:
    """The sampler of a config, tried on the schedule.

    Raises:
        ConfigError: where it does not fit the schedule or the network.
    """
    sampler = untried_sampler(config, data)
    try:
        sampler.calls(denoiser.schedule)
        sampler.check_start(denoiser.schedule)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    refuse_equations(sampler, denoiser)
    return sampler


def refuse_equations(sampler: Sampler, denoiser: Denoiser) -> None:
    """Refuse a solver of equations for a network whose answers depend on the call before: `guidance.Remembering`.

    Raises:
        ConfigError: naming the sampler.
    """
    if getattr(denoiser.network, "self_condition", False) and sampler.calls(denoiser.schedule) is None:
        raise ConfigError(
            f"sampler: {type(sampler).__name__}; it solves an equation, and a self-conditioned network, told its "
            "answer to the call before, gives none: allowed are samplers of a set number of steps"
        )


def data_of(config: Mapping[str, Any]) -> Indexed:
    """The data set of a config, read.

    Raises:
        ConfigError: for whatever the constructor or the files refuse.
    """
    data = build(config["data"], "data", list(config["targets"]))
    data.cache = cache_folder(config.get("cache"))
    data.setup()
    return data


def assemble(config: Mapping[str, Any], trained: Mapping[str, Any] | None = None, data: Indexed | None = None) -> Parts:
    """Everything but what is only for training.

    Args:
        config: resolved.
        trained: the config that the network was trained with, where `config` changes it.
        data: its data set, where that has been read already.

    Raises:
        ConfigError: for whatever a constructor or the data refuses.
    """
    more = list(config["targets"])
    data = data_of(config) if data is None else data
    variance = build((trained or config)["variance"], "variance", more)
    denoiser = denoiser_of(config, data, 1 + variance.outputs)
    likelihood = build(config["likelihood"], "likelihood", more)
    protocol = build(config["metrics"], "metrics", more)
    sampler = untried_sampler(config, data)
    scored = likelihood if protocol.likelihood else None
    refuse(Choices(denoiser.schedule, denoiser.parameterisation, variance, sampler=sampler, likelihood=scored))
    return Parts(
        data,
        denoiser,
        sampler_of(config, denoiser, data),
        likelihood,
        protocol,
        build(config["features"], "features", more),
        variance,
        guidance_of(config, denoiser),
    )
