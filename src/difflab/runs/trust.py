"""What a run folder may say: plain values, read without trusting whoever has written them."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any
from unicodedata import category

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from difflab.errors import ConfigError

LARGEST = 2**18  # bytes of a YAML file; a config has some thousands
DEEPEST = 24  # sections within sections


def quoted(value: Any) -> str:
    """Somebody else's value for a message: one line without control characters, not too long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def oddities(text: str, interpolations: bool) -> Iterator[str]:
    """What a YAML text holds that a run does not write, found before any of it is made an object.

    Values are looked at as they are after unescaping. Aliases could make a few lines fill the memory, tags could name
    Python's classes, an interpolation could read the environment.

    Args:
        interpolations: whether these may be there, for files that are not resolved.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            yield "an anchor or an alias"
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None:
            yield f"the tag {quoted(event.tag)}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            yield f"more than {DEEPEST} sections within each other"
        if isinstance(event, yaml.ScalarEvent) and not interpolations and "${" in event.value:
            yield f"{quoted(event.value)}, whose interpolation could read the environment"
        if isinstance(event, yaml.ScalarEvent) and not interpolations and event.value == "???":
            yield "???, a value that is missing"
        if isinstance(event, yaml.ScalarEvent) and any(c not in "\n\t" and category(c) == "Cc" for c in event.value):
            yield f"control characters in {quoted(event.value)}"


def names(node: Any) -> Iterator[Any]:
    """Every key of a plain config."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(node, dict):
            yield key
        if isinstance(value, dict | list):
            yield from names(value)


def read_yaml(path: Path, field: str, interpolations: bool = False) -> dict[str, Any]:
    """A YAML file of a run folder as dicts, lists, text and numbers; nothing in it is resolved.

    Args:
        field: for messages.
        interpolations: whether they may be there, as text.

    Raises:
        ConfigError: where it cannot be read, and for whatever a run does not write.
    """
    plain = values(path, field, interpolations)
    if not isinstance(plain, dict) or not all(isinstance(name, str) for name in names(plain)):
        raise ConfigError(f"{field}: {path} holds no sections with names; no run writes that: refused")
    return plain


def read_overrides(path: Path, field: str) -> list[str]:
    """What .hydra/overrides.yaml of a run says was typed.

    Raises:
        ConfigError: where it says no such thing.
    """
    plain = values(path, field, interpolations=True) or []
    if not isinstance(plain, list) or not all(isinstance(item, str) for item in plain):
        raise ConfigError(f"{field}: {path} holds no list of texts; no run writes that: refused")
    return plain


def read_json(path: Path, field: str) -> dict[str, Any]:
    """A JSON file of a run folder.

    Raises:
        ConfigError: where it cannot be read.
    """
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{field}: {path} cannot be read ({brief(error)})") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{field}: {path} holds no names and values; no run writes that: refused")
    return plain


def brief(error: Exception) -> str:
    """What an error says, in one line of bearable length."""
    return shorten(str(error), 200, placeholder=" ...")


def values(path: Path, field: str, interpolations: bool) -> Any:
    """The same of any kind."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(
                f"{field}: {path} has more than {LARGEST:,} bytes; allowed are files that a run has written"
            )
        text = content.decode()
        for oddity in oddities(text, interpolations):
            raise ConfigError(f"{field}: {path} holds {oddity}; no run writes that: refused")
        return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{field}: {path} cannot be read ({brief(error)})") from error


def check_inside(folder: Path, field: str) -> None:
    """Refuse a folder in which a link leads out of it, so that what is read and written in it stays in it.

    The folders of W&B's own runs are not looked into: it links its logs there, makes new ones, and reads none again.

    Raises:
        ConfigError: naming the entry; for devices and pipes too, on which reading could hang.
    """
    top = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            try:
                mode = path.lstat().st_mode
            except OSError:  # somebody is at work there
                continue
            if stat.S_ISLNK(mode) and not path.resolve().is_relative_to(top):
                raise ConfigError(
                    f"{field}: {quoted(str(path))} leads out of the run folder, to {quoted(str(path.resolve()))}; "
                    "allowed are folders whose links stay inside"
                )
            if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ConfigError(f"{field}: {quoted(str(path))} is neither file nor folder; allowed are only these")
        if Path(parent).name == "wandb":
            folders.clear()


def without_say(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that came with a run, without what is for whoever runs it to say, on the command line.

    That is whose classes may be named (`targets`), where kept features go (`cache`), and whether CLIP's file, which is
    a program to torch, need not be the published one (`features.checked`).
    """
    features = config.get("features")
    if isinstance(features, Mapping) and "checked" in features:
        features = {**features, "checked": True}
    return {**config, "targets": [], "cache": None, "features": features}
