"""The first pass over a composed config: types, ranges and contradictions, before anything heavy is imported."""

from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.errors import ConfigError
from difflab.runs.paths import CONFIGS
from difflab.runs.rules import contradictions, out_of_range

OPEN = ("hydra", "trainer")  # the trainer's keys are checked against Lightning's Trainer when it is built
WORDS = {bool: "true or false", int: "whole numbers", float: "numbers", str: "text", list: "lists", dict: "sections"}


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted names to values; a section is a value too."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        flat[name] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{name}.")
    return flat


def defaults(config_name: str, choices: dict[str, str]) -> dict[str, Any]:
    """What the YAML files of the chosen options hold, by dotted name; interpolations are left out."""
    flat = {k: v for k, v in flatten(_read(config_name)).items() if not k.startswith(("hydra", "defaults"))}
    for group, option in choices.items():
        if option is not None and (CONFIGS / group / f"{option}.yaml").is_file() and "hydra" not in group:
            flat |= flatten(_option(group, option), f"{group}.")
            flat[group] = {}
    return flat


def _read(name: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"), resolve=False)
    return {str(key): value for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def _option(group: str, option: str) -> dict[str, Any]:
    """The option's own values over those of the options it builds on."""
    own = _read(f"{group}/{option}")
    below = [name for name in own.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    merged: dict[str, Any] = {}
    for name in below:
        merged |= _option(group, name)
    return merged | own


def fits(value: Any, default: Any) -> bool:
    """Whether a value has the type of its default: whole numbers are numbers, and null where the default is null."""
    if default is None or (isinstance(default, str) and "${" in default):
        return True
    if value is None:
        return False
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list):
        return isinstance(value, list) and (not default or all(fits(item, default[0]) for item in value))
    return isinstance(value, type(default))


def validate(config: DictConfig, config_name: str, choices: dict[str, str]) -> None:
    """Refuse what cannot run.

    Raises:
        ConfigError: with the first field that is wrong, its value, and what is allowed.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(plain, dict)
    flat, known = flatten(plain), defaults(config_name, choices)
    chosen = {group for group, option in choices.items() if option is not None}
    for field, value in flat.items():
        section = field.split(".")[0]
        if section in OPEN and field not in known:
            continue
        interpolated = any(isinstance(known.get(field[:i]), str) for i in range(len(field)) if field[i] == ".")
        if interpolated:
            continue
        if field not in known:
            near = get_close_matches(field, known, 1, 0.6)
            raise ConfigError(f"{field}: unknown" + (f"; did you mean {near[0]}?" if near else ""))
        default = known[field]
        if not fits(value, default) and not (field in chosen and value is None):
            words = WORDS[type(default)]
            if isinstance(default, list) and default:
                words += f" of {WORDS[type(default[0])]}"
            raise ConfigError(f"{field}: {value}; allowed are {words}, such as {default}")
    for message in [*out_of_range(flat), *contradictions(flat, choices)]:
        raise ConfigError(message)
