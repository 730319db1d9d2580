"""The one place where a config becomes objects: from an allow-list, with refusals instead of tracebacks."""

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError


def targets(node: Any) -> list[str]:
    """Every `_target_` in a plain config."""
    if isinstance(node, Mapping):
        own = [node["_target_"]] if node.get("_target_") is not None else []
        return own + [t for value in node.values() for t in targets(value)]
    return [t for value in node for t in targets(value)] if isinstance(node, list) else []


def allowed(target: str, prefixes: tuple[str, ...]) -> Any:
    """The class or function of that name.

    It must be named under an allowed prefix and be defined there too: a name that an allowed module merely imports
    is somebody else's.

    Raises:
        ConfigError: where it is not allowed or not there.
    """
    names = ", ".join(prefixes)
    if not any(target.startswith(f"{p}.") for p in prefixes):
        raise ConfigError(f"_target_: {target} is outside of what may be named: {names}; more through targets=[...]")
    try:
        found = get_object(target)
    except Exception as error:
        raise ConfigError(f"_target_: {target} does not exist; allowed are classes of {names}") from error
    home = getattr(found, "__module__", "") or ""
    if not callable(found) or not any(home == p or home.startswith(f"{p}.") for p in prefixes):
        raise ConfigError(f"_target_: {target} is not defined in {names}, only imported there; refused")
    return found


def build(node: DictConfig | Mapping[str, Any], field: str, more: list[str] | None = None, **offers: Any) -> Any:
    """The object that a config node describes.

    Args:
        node: with a `_target_`, possibly nested.
        field: its name, for messages.
        more: module prefixes allowed beside difflab.
        offers: what only the data or another object knows; passed where the constructor has a parameter of the name.

    Raises:
        ConfigError: for a target that is not allowed, and for whatever a constructor refuses.
    """
    plain = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    assert isinstance(plain, dict)
    prefixes = ("difflab", "lightning.pytorch", *(more or []))
    for target in targets(plain):
        allowed(target, prefixes)
    constructor = allowed(plain["_target_"], prefixes)
    parameters = inspect.signature(constructor).parameters
    given = plain.keys() - {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}
    unknown = sorted(str(name) for name in given - parameters.keys())
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise ConfigError(f"{field}.{unknown[0]}: unknown; allowed are {', '.join(parameters)}")
    offers = {name: value for name, value in offers.items() if name in parameters and name not in given}
    try:
        return instantiate(plain, _convert_="all", **offers)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise ConfigError(str(cause)) from error
        if isinstance(cause, ValueError | TypeError):
            raise ConfigError(f"{field}: {cause}" if field not in str(cause) else str(cause)) from error
        raise
