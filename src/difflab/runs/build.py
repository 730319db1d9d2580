"""The one place where a config becomes objects: from an allow-list, with refusals instead of tracebacks."""

import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError

# The rooms whose classes are options. Not difflab.runs: what works on files, processes and other runs' configs is no
# option, and a config that came with somebody's checkpoint must not reach it.
ROOMS = (
    "data",
    "distributions",
    "evaluation",
    "features",
    "likelihood",
    "losses",
    "metrics",
    "models",
    "prediction",
    "process",
    "samplers",
    "schedules",
    "studies",
    "times",
    "training",
)
PREFIXES = (
    *(f"difflab.{room}" for room in ROOMS),
    "lightning.pytorch.Trainer",
    "lightning.pytorch.trainer.trainer.Trainer",
    "lightning.pytorch.loggers",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
)
HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def targets(node: Any, field: str) -> list[tuple[str, Any]]:
    """The field and value of every `_target_` in a plain config."""
    if isinstance(node, list):
        return [found for value in node for found in targets(value, field)]
    if not isinstance(node, Mapping):
        return []
    own = [(field, node["_target_"])] if node.get("_target_") is not None else []
    return own + [found for key, value in node.items() for found in targets(value, f"{field}.{key}")]


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the prefixes or lies below it."""
    return any(name == p or name.startswith(f"{p}.") for p in prefixes)


def allowed(target: Any, field: str, prefixes: tuple[str, ...]) -> Any:
    """The class or function of that name.

    It must be named under an allowed prefix and be defined there too, at the top of its module: a name that an
    allowed module merely imports is somebody else's, and methods (Lightning's load_from_checkpoint unpickles) are not
    constructors.

    Raises:
        ConfigError: where it is not allowed or not there.
    """
    names = "classes of difflab and of Lightning's Trainer, loggers, profilers and strategies"
    if prefixes != PREFIXES:
        names += f", and of {', '.join(prefixes[len(PREFIXES) :])}"
    if not isinstance(target, str) or not under(target, prefixes):
        raise ConfigError(f"{field}._target_: {target}; allowed are {names}; more through targets=[MODULE]")
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{field}._target_: {target} is not there ({error}); allowed are {names}") from error
    home = getattr(found, "__module__", None) or ""
    if not callable(found) or not under(f"{home}.{getattr(found, '__qualname__', '')}", prefixes):
        raise ConfigError(f"{field}._target_: {target} is defined elsewhere ({home or module}); allowed are {names}")
    return found


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
    constructor = allowed(node.get("_target_"), field, (*PREFIXES, *more))
    return parameter in inspect.signature(constructor).parameters


def filled(node: Any, offers: Mapping[str, Any], prefixes: tuple[str, ...]) -> Any:
    """A node with the numbers among the offers that the constructors within it have parameters for."""
    if not isinstance(node, Mapping):
        return node
    plain = {key: filled(value, offers, prefixes) for key, value in node.items()}
    if node.get("_target_") is None:
        return plain
    parameters = inspect.signature(allowed(node["_target_"], "", prefixes)).parameters
    numbers = {name: value for name, value in offers.items() if isinstance(value, int | float) and name in parameters}
    return numbers | plain


def build(node: DictConfig | Mapping[str, Any], field: str, more: list[str] | None = None, **offers: Any) -> Any:
    """The object that a config node describes.

    Args:
        node: with a `_target_`, possibly nested.
        field: its name, for messages.
        more: module prefixes allowed beside difflab.
        offers: what only the data or another object knows; passed, as it is, where the constructor has a parameter of
            the name; numbers also to the constructors of nested nodes.

    Raises:
        ConfigError: for a target that is not allowed, and for whatever a constructor refuses.
    """
    plain = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    assert isinstance(plain, dict)
    prefixes = (*PREFIXES, *(more or []))
    constructor = allowed(plain.get("_target_"), field, prefixes)
    for name, target in targets(plain, field):
        allowed(target, name, prefixes)
    parameters = inspect.signature(constructor).parameters
    given = plain.keys() - HYDRA_KEYS
    unknown = sorted(str(name) for name in given - parameters.keys())
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        own = ", ".join(name for name in parameters if name not in offers)
        raise ConfigError(f"{field}.{unknown[0]}: unknown; allowed are {own}")
    plain = {key: filled(value, offers, prefixes) for key, value in plain.items()}
    offers = {name: value for name, value in offers.items() if name in parameters and name not in given}
    try:
        made = instantiate({**plain, "_partial_": True}, _convert_="all")
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
