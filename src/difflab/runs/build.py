"""The one place where a config becomes objects: from an allow-list, with refusals instead of tracebacks."""

from collections.abc import Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.runs.allowed import allowed

HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def refused(error: BaseException | None, field: str) -> ConfigError | None:
    """The refusal that an error of a constructor stands for; None for a failure."""
    if isinstance(error, ConfigError):
        return error
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ValueError | TypeError) or "MisconfigurationException" in kinds:  # the last is Lightning's
        text = " ".join(str(error).split())
        return ConfigError(text if text.startswith(field) else f"{field}: {text}")
    return None


def wants(node: Mapping[str, Any], field: str, parameter: str, more: list[str]) -> bool:
    """Whether the constructor of a node has a parameter of that name."""
    return parameter in signature(allowed(node.get("_target_"), field, tuple(more))).parameters


def filled(node: Any, field: str, offers: Mapping[str, Any], more: tuple[str, ...]) -> Any:
    """A node with classes in the place of their names, which Hydra would look up in its own way.

    The constructors within it get those numbers among the offers that they have parameters for.

    Raises:
        ConfigError: for a class that is not allowed.
    """
    if isinstance(node, list):
        return [filled(value, field, offers, more) for value in node]
    if not isinstance(node, Mapping):
        return node
    plain = {key: filled(value, f"{field}.{key}", offers, more) for key, value in node.items()}
    if "_target_" not in node:
        return plain
    constructor = allowed(node["_target_"], field, more)
    parameters = signature(constructor).parameters
    numbers = {name: value for name, value in offers.items() if isinstance(value, int | float) and name in parameters}
    return numbers | plain | {"_target_": constructor}


def build(node: DictConfig | Mapping[str, Any], field: str, more: list[str] | None = None, **offers: Any) -> Any:
    """The object that a config node describes.

    Args:
        node: with a `_target_`, possibly nested.
        field: its name, for messages and for what may stand there.
        more: module prefixes allowed beside difflab and the libraries.
        offers: what only the data or another object knows; passed, as it is, where the constructor has a parameter of
            the name and the node gives none (of numbers: or null); numbers also to the constructors of nested nodes. A
            path is never the node's to give.

    Raises:
        ConfigError: for a target that is not allowed, and for whatever a constructor refuses.
    """
    plain = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    assert isinstance(plain, dict)
    modules = tuple(more or ())
    constructor = allowed(plain.get("_target_"), field, modules)
    parameters = signature(constructor).parameters
    given = plain.keys() - HYDRA_KEYS
    unknown = sorted(str(name) for name in given - parameters.keys())
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        own = ", ".join(name for name in parameters if name not in offers)
        raise ConfigError(f"{field}.{unknown[0]}: unknown; allowed are {own}")
    for name, offer in offers.items():
        if isinstance(offer, Path) and name in given:
            raise ConfigError(f"{field}.{name}: {plain[name]}; allowed is nothing: difflab sets it itself")
    plain = {key: filled(value, f"{field}.{key}", offers, modules) for key, value in plain.items()}
    given -= {name for name, value in offers.items() if plain.get(name) is None and isinstance(value, int | float)}
    offers = {name: value for name, value in offers.items() if name in parameters and name not in given}
    try:
        made = instantiate({**plain, "_target_": constructor, "_partial_": True}, _convert_="all")
        return partial(made, **offers) if plain.get("_partial_") else made(**offers)
    except InstantiationException as error:
        refusal = refused(error.__cause__, field)
        if refusal is None:
            raise
        raise refusal from error
    except Exception as error:
        refusal = refused(error, field)
        if refusal is None or refusal is error:
            raise
        raise refusal from error
