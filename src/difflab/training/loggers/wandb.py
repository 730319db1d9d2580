"""Weights & Biases, online or offline, in the run folder."""

import os
from pathlib import Path
from secrets import token_hex
from typing import Any

from lightning.pytorch.loggers import Logger

from difflab.errors import ConfigError

MODES = ("online", "offline", "disabled")


def wandb_logger(
    project: str,
    entity: str | None,
    mode: str | None,
    folder: Path,
    name: str,
    tags: list[str],
    settings: dict[str, Any],
) -> Logger:
    """A Weights & Biases run in the run folder; its id is kept there, so that a resumed run goes on with it.

    Raises:
        ConfigError: for an unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise ConfigError(f"logger.mode: {mode}; allowed are {', '.join(MODES)}, or null to choose by itself")
    os.environ.setdefault("WANDB_SILENT", "true")
    from lightning.pytorch.loggers import WandbLogger

    if mode is None:
        key = os.environ.get("WANDB_API_KEY") or "wandb" in _netrc()
        mode = "online" if key else "offline"
        if not key:
            print(f"W&B: no API key, so the run is kept offline; later: wandb sync {folder}/wandb/offline-run-*")
    identity = folder / "wandb" / "id"
    identity.parent.mkdir(parents=True, exist_ok=True)
    if not identity.exists():
        identity.write_text(token_hex(4))
    return WandbLogger(
        project=project,
        entity=entity,
        mode=mode,
        name=f"{name}/{folder.name}",
        id=identity.read_text(),
        resume="allow",
        save_dir=str(folder),
        tags=tags,
        config=settings,
        job_type="train",
        log_model=False,
    )


def _netrc() -> str:
    """The text of the file in which `wandb login` leaves its key."""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    return path.read_text() if path.exists() else ""
