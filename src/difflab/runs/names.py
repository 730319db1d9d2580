"""What run folders are called: the interpolations of our YAMLs."""

import secrets
from datetime import datetime
from functools import cache
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from difflab.runs.processes import job_stamp


@cache
def token() -> str:
    """Four characters that keep two runs of the same second apart; the same all through a process."""
    return secrets.token_hex(2)


def stamp() -> str:
    """The name of a run folder: of the cluster's job where all its processes must find the same, else of the time."""
    return job_stamp() or f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{token()}"


def choice(group: str, *, _root_: Any) -> str:
    """The chosen option of a group: while Hydra names a sweep's folder from the config, later from Hydra itself."""
    whole = _root_ if "hydra" in _root_ else None
    choices = OmegaConf.select(whole, "hydra.runtime.choices") if whole is not None else None
    return (choices or HydraConfig.get().runtime.choices)[group]


def register_resolvers() -> None:
    """The interpolations of our YAMLs; a sweep's workers get the stamp of the process that began it."""
    OmegaConf.register_new_resolver("stamp", stamp, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("choice", choice, replace=True)
