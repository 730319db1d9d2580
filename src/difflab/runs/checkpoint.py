"""Reading checkpoints without trusting them."""

import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from difflab.errors import ConfigError
from difflab.files import unfinished

KEYS = ("state_dict", "current_model_state", "global_step")


def read(path: Path, field: str) -> dict[str, Any]:
    """A checkpoint's content: plain containers and tensors, on the CPU.

    Raises:
        ConfigError: where the file is missing, damaged or would need unpickling.
    """
    if not path.is_file():
        raise ConfigError(f"{field}: there is no checkpoint {path}")
    damage = "is damaged (truncated or changed since it was written)"
    try:
        with zipfile.ZipFile(path) as archive:
            # An entry marked as a folder passes Python's test and leaves torch with a tensor of uninitialised memory;
            # one that is compressed, as torch writes none, may become too large for memory.
            odd = any(entry.external_attr or entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
            if odd or archive.testzip() is not None:
                raise ConfigError(f"{field}: {path} {damage}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ConfigError(
            f"{field}: {path} holds more than tensors and plain containers; unpickling it could run code: refused"
        ) from error
    except ConfigError:
        raise
    except Exception as error:  # what a damaged archive raises depends on where the damage is
        raise ConfigError(f"{field}: {path} {damage}") from error
    missing = [key for key in KEYS if key not in content] if isinstance(content, dict) else KEYS
    if missing:
        raise ConfigError(f"{field}: {path} is no checkpoint of difflab: {missing[0]} is missing")
    states = (content["state_dict"], content["current_model_state"])
    if not all(isinstance(state, dict) for state in states) or not isinstance(content["global_step"], int):
        raise ConfigError(f"{field}: {path} is no checkpoint of difflab: it holds no weights by name, or no step")
    return content


def problem(path: Path) -> str | None:
    """What keeps a checkpoint from being used; None for nothing."""
    try:
        read(path, "resume")
    except ConfigError as error:
        return str(error).removeprefix(f"resume: {path} ")
    return None


def write_untrained(path: Path, module: nn.Module) -> None:
    """The checkpoint of a network without weights to train: what `load_run` reads is there, and nothing to resume."""
    state = module.state_dict()
    with unfinished(path) as new:
        torch.save({"state_dict": state, "current_model_state": state, "global_step": 0}, new)
