"""The way to W&B's server: whose account, whether it can be reached, and saving pages there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import wandb
from wandb.errors import Error
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from difflab.errors import ConfigError

PATIENCE = 10.0  # seconds; W&B itself would try for minutes


def account() -> str:
    """The entity that the API key belongs to, unless it says another default.

    Raises:
        ConfigError: without a key, without a way to the server, and where it does not take the key.
    """
    server = wandb.setup().settings.base_url
    try:
        with urlopen(server, timeout=PATIENCE):
            pass
    except HTTPError:
        pass  # it answers
    except (OSError, ValueError, HTTPException) as error:
        raise ConfigError(f"W&B: {server} cannot be reached ({error}); dry_run=true needs no network") from None
    with answers():
        if not wandb.login(prompt=False):
            raise ConfigError(f"W&B: no API key for {server}: wandb login, or WANDB_API_KEY; dry_run=true needs none")
        return wandb.Api().default_entity or ""


def publish(pages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The pages by name, saved one after the other, with their addresses.

    Raises:
        ConfigError: where the server refuses one.
    """
    for name, page in pages.items():
        with answers():
            url = page.save().url
        yield name, url


@contextmanager
def answers() -> Iterator[None]:
    """What the server refuses is told in its own words."""
    try:
        yield
    except (Error, WandbApiFailedError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"W&B: {said}") from error
