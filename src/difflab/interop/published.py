"""Published weights, and what they say of the run that they would be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.interop import edm, openai, scheduler, unet2d
from difflab.interop.diffusers import recognises, unet_weights
from difflab.interop.openai_layout import Untold
from difflab.interop.weight_files import json_of, weights_in, weights_of
from difflab.runs.paths import CONFIGS


@dataclass
class Published:
    """Weights with what is known of them.

    Attributes:
        path: where they lie.
        weights: for a network of ours, its state dict.
        model: the section `model` of that network.
        shape: of the images.
        classes: that it can be told; 0 for none.
        choices: overrides of train.yaml beside the model, by field.
    """

    path: Path
    weights: Callable[..., dict[str, Tensor]]
    model: dict[str, Any]
    shape: tuple[int, ...]
    classes: int = 0
    choices: dict[str, Any] = field(default_factory=dict)

    def overrides(self) -> dict[str, Any]:
        """Fields of train.yaml and their values, as far as the weights and their configs say them."""
        found = option_of(self.model) | data_of(self.shape)
        if self.classes:  # the published ones were told the class of every image, so that they cannot be guided
            found |= {"condition": "classes", "condition.drop": 0.0}
        return found | {key: value for key, value in self.choices.items() if value is not None}


def published(place: str, untold: Untold | None = None) -> Published:
    """The weights in a folder of diffusers or in a file.

    Args:
        place: a pipeline's folder, that of a `UNet2DModel`, or a .safetensors file.
        untold: what no weight tells of a network of OpenAI's code; None for the published ones.

    Raises:
        ConfigError: for what is none of these, and for networks that none of ours can be.
    """
    path = Path(place)
    if path.is_dir():
        return folder_of_diffusers(path)
    if not path.is_file():
        raise ConfigError(f"weights: {place} is not there; allowed are .safetensors files and folders of diffusers")
    state = weights_of(path)
    if recognises(state):
        raise ConfigError(f"weights: {path} is of a UNet2DModel, whose config.json tells more: allowed is its folder")
    if edm.recognises(state):
        return of_edm(path, state)
    if openai.recognises(state):
        return of_openai(path, state, untold)
    raise ConfigError(
        f"weights: {path} has names of no network that is known here, such as {next(iter(state), 'none at all')}; "
        "allowed are improved-diffusion, guided-diffusion, EDM's DDPM++ and NCSN++, folders of diffusers"
    )


def folder_of_diffusers(path: Path) -> Published:
    """A pipeline, or a network alone; files of older ones lie side by side instead of in folders.

    Raises:
        ConfigError: for a folder of something else.
    """
    network = path / "unet" if (path / "unet").is_dir() else path
    if not (network / "config.json").is_file():
        raise ConfigError(f"weights: {path} has no unet/config.json or config.json; allowed are folders of diffusers")
    get = unet2d.whole(json_of(network / "config.json"))
    noise = next((p for p in schedulers(path) if p.is_file()), None)
    choices = scheduler.choices_of(json_of(noise)) if noise is not None else {"variance": "forward"}
    if get["out_channels"] == 2 * get["in_channels"]:
        choices |= {"variance": "learned", "loss": "hybrid"}
    elif choices.get("variance") == "learned":
        raise ConfigError(f"weights: {noise} has variance_type learned_range, and the network no outputs for it")
    state, swapped = weights_in(network), unet2d.swapped(get)
    return Published(
        path,
        lambda ours: unet_weights(state, ours, swapped),
        unet2d.fields(get),
        unet2d.shape_of(get),
        get["num_class_embeds"] or 0,
        {"c_noise": "step_index"} | choices,
    )


def schedulers(path: Path) -> Iterator[Path]:
    """Where the config of a pipeline's scheduler may lie, from the folder of the pipeline or of its network."""
    for folder in (path, path.parent) if path.name == "unet" else (path,):
        yield folder / "scheduler" / "scheduler_config.json"
        yield folder / "scheduler_config.json"


def of_edm(path: Path, state: Mapping[str, Tensor]) -> Published:
    """A network of EDM, with what it was trained and is sampled with (Karras et al., 2022, Table 1)."""
    told = edm.told(state)
    choices = {
        "schedule": "karras",
        "prediction": "edm",
        "prediction.sigma_data": 0.5,
        "c_noise": "log_sigma",
        "sampler": "heun",
        "grid": "karras",
        "augmentation": "edm" if told["told_numbers"] else None,
        "data.flip": False if told["told_numbers"] else None,
    }
    model = edm.config(state)
    return Published(path, lambda ours: edm.weights(state, ours), model, told["shape"], told["classes"], choices)


def of_openai(path: Path, state: Mapping[str, Tensor], untold: Untold | None) -> Published:
    """A network of improved-diffusion or guided-diffusion, with what the published one was trained with.

    Raises:
        ConfigError: for one that enlarges images.
    """
    untold = untold or openai.untold(state)
    offers, model = openai.offers(state, untold), openai.config(state, untold)
    if offers["told_channels"]:
        raise ConfigError(f"weights: {path} is of a network that enlarges images; allowed are those that make them")
    learned = offers["outputs"] == 2
    choices = {
        "schedule": untold.schedule,
        "schedule.T": untold.T,
        "prediction": "eps",
        "c_noise": untold.c_noise,
        "variance": "learned" if learned else "forward",
        "loss": "hybrid" if learned else None,
        "sampler": "ancestral",
    }

    def weights(ours: nn.Module) -> dict[str, Tensor]:
        return openai.weights(state, ours, untold)

    return Published(path, weights, model, offers["shape"], offers["classes"], choices)


def leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names to values that are no sections."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def option_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """The option of models that a section is closest to, and the fields in which the two differ.

    Raises:
        ConfigError: for a network that no option has.
    """
    wanted, found = leaves(model), []
    sections = {key: value.keys() for key, value in model.items() if isinstance(value, dict)}
    for path in sorted((CONFIGS / "model").glob("*.yaml")):
        node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        have = leaves({key: value for key, value in node.items() if key != "c_noise"})
        same = node["_target_"] == model["_target_"] and wanted.keys() <= have.keys()
        if same and all(node[key].keys() == names for key, names in sections.items()):
            found.append((path.stem, {key: value for key, value in wanted.items() if have[key] != value}))
    if not found:
        raise ConfigError(f"weights: no option of configs/model has the fields {', '.join(wanted)}")
    name, differing = min(found, key=lambda pair: len(pair[1]))
    return {"model": name} | {f"model.{key}": value for key, value in differing.items()}


def data_of(shape: tuple[int, ...]) -> dict[str, Any]:
    """The data that images of a shape most probably are, or any folder of squares."""
    channels, height, width = shape
    if shape == (3, 32, 32):
        return {"data": "cifar10"}
    if height != width or channels not in (1, 3):
        return {}
    return {"data": "image_folder", "data.size": height, "data.channels": channels}
