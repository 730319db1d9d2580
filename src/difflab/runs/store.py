"""Hydra's store of structured configs, shared where Hydra would copy it."""

from typing import Any

from hydra.core.config_store import ConfigStore


def shared(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
    """The store itself, as its copy."""
    return store


def share_store() -> None:
    """From now on Hydra asks one store.

    It copies the whole store for every composition, and for every group that `--help` lists, which takes most of its
    time. Nothing needs that: what the store hands out is a copy already.
    """
    setattr(ConfigStore, "__deepcopy__", shared)  # noqa: B010  (a type checker would look for a field of that name)
