"""scripts/import_weights.py: published weights as a run folder, to sample from, to score, to train on."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import nn

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.interop.openai_layout import Untold
from difflab.interop.published import Published, published
from difflab.runs.assemble import assemble, data_of
from difflab.runs.checkpoint import write_untrained
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.resume import key_of, override

OWN = ("weights", "untold")  # fields of this command that train.py does not have
NEITHER = ("resume", "replay", "init")
TOLD = ("condition", "augmentation")


def as_training(arguments: list[str]) -> list[str]:
    """The command line with what the weights say of the run in front of it; what is typed wins.

    Raises:
        ConfigError: for weights that cannot be read, and for what train.py alone does.
    """
    place = override(arguments, "weights")
    if place is None or any(a.startswith("-") and a not in ("-m", "--multirun") for a in arguments):  # --help
        return arguments
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(f"weights: {place} in a sweep; allowed is one import at a time, without -m")
    said = {key_of(argument) for argument in arguments}
    for field in NEITHER:
        if field in said:
            raise ConfigError(f"{field}: weights are imported into a folder of their own; allowed with train.py")
    found = published(place, untold(arguments))
    derived = {"name": re.sub(r"[^\w.-]", "_", found.path.resolve().stem).lstrip("."), **found.overrides()}
    kept = {field: value for field, value in derived.items() if not overruled(field, said)}
    text = [] if "/" in place else [f"weights={as_text(place)}"]  # a name alone may look like a number
    return [*(f"{field}={as_text(value)}" for field, value in kept.items()), *arguments, *text]


def overruled(field: str, said: set[str]) -> bool:
    """Whether the command line says the field, or chooses another option for its group."""
    return field in said or field.partition(".")[0] in said


def as_text(value: Any) -> str:
    """A value as Hydra reads it on a command line; text that it could take for something else is quoted."""
    plain = isinstance(value, str) and re.fullmatch(r"[a-z_][\w.]*", value, re.ASCII | re.IGNORECASE)
    if plain and value.lower() not in ("null", "true", "false", "nan", "inf"):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def untold(arguments: Sequence[str]) -> Untold | None:
    """What the command line says in the place of weights; None where it says no height.

    Raises:
        ConfigError: for values that are none.
    """
    typed = [a for a in arguments if a.startswith("untold.")]
    whole: Any = OmegaConf.to_container(OmegaConf.from_dotlist(typed))
    said = whole.get("untold", {})
    wrong = sorted(said.keys() - {"height", "heads", "head_channels", "all_queries_first"})
    if wrong or said.get("height") is None:
        return None
    heads, width = said.get("heads"), said.get("head_channels")
    if (heads is None) == (width is None):
        raise ConfigError(f"untold.heads: {heads} beside untold.head_channels: {width}; allowed is one of the two")
    if not all(isinstance(value, int) for value in said.values()):
        return None
    return Untold(said["height"], heads, width, bool(said.get("all_queries_first")))


def check(data: Indexed, found: Published) -> None:
    """Refuse data that the network is not for.

    Raises:
        ConfigError: for images of another shape, or another number of classes.
    """
    if tuple(data.shape) != tuple(found.shape):
        raise ConfigError(f"data: examples of shape {tuple(data.shape)}; allowed with these weights are {found.shape}")
    if found.classes and data.classes != found.classes:
        raise ConfigError(f"data: {data.classes} classes; allowed with these weights are data of {found.classes}")


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Write the folder: config, environment, figures that are known, and the weights as a checkpoint.

    Raises:
        ConfigError: where weights, model and data do not fit.
    """
    if cfg.weights is None:
        raise ConfigError("weights: null; allowed are .safetensors files and folders of diffusers: weights=FILE")
    overrides = list(HydraConfig.get().overrides.task)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    found = published(config["weights"], untold(overrides))
    data = data_of(config)
    check(data, found)
    parts = assemble(config, data=data)
    network = parts.denoiser.network
    network.load_state_dict(found.weights(network))
    parts.denoiser.eval()
    run = {key: value for key, value in config.items() if key not in (*OWN, "sweep", "replay")}
    folder.describe(OmegaConf.create(run), overrides)
    folder.checkpoints.mkdir(exist_ok=True)
    write_untrained(folder.checkpoints / "last.ckpt", nn.ModuleDict({"denoiser": parts.denoiser}))
    parameters = sum(p.numel() for p in parts.denoiser.parameters())
    write_json(folder.metrics, {"model/parameters": parameters, "train/steps": 0, "seed": config["seed"]})
    print(f"{parameters:,} parameters of {Path(config['weights']).resolve().name}")
    print(f"to train on: python train.py init={folder.path} {' '.join(to_train_on(overrides))}")
    print(folder.path)


def to_train_on(overrides: Sequence[str]) -> list[str]:
    """The overrides that make the same network, on the same data, told and read as it was."""
    sections = ("data", "model", "c_noise", "prediction", "schedule", "warp", "variance", "loss", *TOLD)
    return [item for item in overrides if key_of(item).partition(".")[0] in sections]
