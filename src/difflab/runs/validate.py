"""The first pass over a composed config: types, ranges and contradictions, before anything heavy is imported."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.errors import ConfigError
from difflab.runs.kinds import shown
from difflab.runs.paths import CONFIGS
from difflab.runs.ranges import FREE, NULLABLE, no_numbers, out_of_range
from difflab.runs.rules import contradictions

OPEN = ("hydra", "trainer")  # the trainer's keys are checked against Lightning's Trainer when it is built
HYDRA_GROUPS = (
    "hydra/launcher",
    "hydra/sweeper",
    "hydra/job_logging",
    "hydra/hydra_logging",
    "hydra/env",
    "hydra/help",
)
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
    flat = {k: v for k, v in flatten(_whole(config_name)).items() if not k.startswith(("hydra", "defaults"))}
    for group, option in choices.items():
        if is_section(group, option):
            flat |= flatten(_option(group, option), f"{group}.")
            flat[group] = {}
    return flat


def is_section(group: str, option: str | None) -> bool:
    """Whether an option is one of ours and fills the section of its group (an experiment reaches into others)."""
    path = CONFIGS / group / f"{option}.yaml"
    return "hydra" not in group and path.is_file() and not path.read_text().startswith("# @package _global_")


def unknown(field: str, known: Mapping[str, Any]) -> str:
    """The refusal of a field that is not there, with the name that was probably meant, or those of its section."""
    section, _, name = field.rpartition(".")
    if str(known.get(section)).startswith("${"):
        whole = str(known[section]).strip("${}")
        return f"{field}: unknown; {section} is that of the whole run, whose fields are {whole}.KEY"
    beside = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == section]
    near = [f"{section}.{n}".lstrip(".") for n in get_close_matches(name, beside, 1, 0.7)]
    near += [k for k, value in known.items() if k.rpartition(".")[2] == name and not isinstance(value, dict)]
    if near:
        return f"{field}: unknown; did you mean {' or '.join(near)}?"
    return f"{field}: unknown; allowed are {', '.join(n for n in beside if n != '_target_')}"


def not_an_option(group: str, option: Any, options: Sequence[str]) -> str:
    """The refusal of an option that is not there, with the name that was probably meant."""
    near = get_close_matches(option, options, 1, 0.6) if isinstance(option, str) else []
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{group}: {shown(option)}; {meant}allowed are {', '.join(options)}"


def options_of(group: str) -> list[str]:
    """The names of the options of a group of ours."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def groups_of(config_name: str) -> dict[str, str | None]:
    """The groups of a config and their default options."""
    entries = [entry for entry in _whole(config_name).get("defaults", []) if isinstance(entry, dict)]
    return {group: option for entry in entries for group, option in entry.items() if " " not in group}


def unknown_to_hydra(field: str, config_name: str) -> str:
    """The same before there is a config: among the fields of all options."""
    known, having = defaults(config_name, {}), []
    groups = groups_of(config_name)
    near = get_close_matches(field, [*HYDRA_GROUPS, *groups], 1, 0.7) if "." not in field else []
    if near:
        return f"{field}: unknown; did you mean {near[0]}?"
    for path in sorted(CONFIGS.glob("*/*.yaml")):
        group, option = path.parent.name, path.stem
        if group in groups and is_section(group, option):
            values = flatten({group: _option(group, option)})
            if field in values and "." in field:
                having.append(option)
            known |= values
    if having:
        group = field.split(".")[0]
        return f"{field}: unknown with the options chosen; allowed with {group}={', '.join(having)}"
    known.pop(field, None)
    return unknown(field, known)


@cache
def _parsed(name: str) -> Any:
    return OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"), resolve=False)


def _read(name: str) -> dict[str, Any]:
    loaded = _parsed(name)
    return {str(key): value for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def _whole(config_name: str) -> dict[str, Any]:
    """The YAML of a command over that of the command it builds on, whose groups are its own."""
    own = _read(config_name)
    below = [name for name in own.get("defaults", []) if isinstance(name, str) and name != "_self_"]
    groups = [entry for name in below for entry in _read(name).get("defaults", [])]
    return (
        {key: value for name in below for key, value in _read(name).items()}
        | own
        | {"defaults": [*groups, *own.get("defaults", [])]}
    )


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
    if value is None or default is None:
        return default is None
    if isinstance(default, str) and "${" in default:
        return True
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
    for group, default in groups_of(config_name).items():
        option = choices.get(group)
        if default is not None and option is None:
            raise ConfigError(f"{group}: no option, or several; allowed is one of {', '.join(options_of(group))}")
    for field, value in flatten(OmegaConf.to_container(config, resolve=False)).items():
        if value == "???" and not field.endswith("_target_"):
            raise ConfigError(f"{field}: ???; this value is missing: say {field}=VALUE")
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        field = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(field + str(error).splitlines()[0]) from error
    assert isinstance(plain, dict)
    flat, known = flatten(plain), defaults(config_name, choices)
    chosen = {group for group, option in choices.items() if option is not None}
    foreign = {group for group in chosen if not (CONFIGS / group / f"{choices[group]}.yaml").is_file()}
    for field, value in flat.items():
        section = field.split(".")[0]
        if section in foreign or (section in OPEN and field not in known):
            continue
        interpolated = any(isinstance(known.get(field[:i]), str) for i in range(len(field)) if field[i] == ".")
        if (
            interpolated
            or (field in FREE and value is not None)
            or (value is None and (field in NULLABLE or field in chosen))
        ):
            continue
        if field not in known:
            raise ConfigError(unknown(field, known))
        default = known[field]
        group = field.rpartition(".")[2]
        if isinstance(value, str) and str(default) == f"${{{group}}}":
            raise ConfigError(f"{field}: {value}; it is that of the whole run: choose it by {group}={value}")
        if not fits(value, default):
            words = WORDS[type(default)]
            if isinstance(default, list) and default:
                words += f" of {WORDS[type(default[0])]}"
            example = "" if "${" in str(default) or isinstance(default, dict) else f", such as {shown(default)}"
            raise ConfigError(f"{field}: {shown(value)}; allowed are {words}{example}")
    for field, default in known.items():
        section, _, name = field.rpartition(".")
        here = plain if not section else flat.get(section)
        if isinstance(here, dict) and name not in here and not isinstance(default, dict) and name != "_target_":
            raise ConfigError(f"{field}: missing; allowed are {WORDS.get(type(default), 'values')}")
    for message in chain(out_of_range(flat), no_numbers(flat), contradictions(flat, choices)):
        raise ConfigError(message)
