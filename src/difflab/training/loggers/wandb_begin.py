"""How a run of Weights & Biases begins: online, or offline where nobody would answer, under which id, and with what."""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from textwrap import shorten
from typing import Any, NamedTuple

from difflab.training.loggers.network import silence

log = logging.getLogger(__name__)
PROJECT = "difflab"
QUICK = 2.0  # seconds in which the server says something, or counts as unreachable
BEGIN = 20.0  # seconds for it to take in a new run
OFFLINE = {"offline", "dryrun"}  # the second is the first's old name
LONGEST = 64  # characters of a tag


class Wanted(NamedTuple):
    """What is to be told of a run; None is what the environment says (WANDB_...), or W&B's own default.

    Attributes:
        folder: W&B's files go to FOLDER/wandb, the run's id to FOLDER/wandb/id.
        code: the git commit and its remote, and what was changed since, as far as they are known.
        patience: seconds that its end may wait for what is not uploaded.
    """

    folder: Path
    name: str
    job_type: str
    project: str | None
    entity: str | None
    group: str | None
    notes: str | None
    mode: str | None
    tags: Sequence[str]
    config: Mapping[str, Any]
    code: Callable[[], Mapping[str, str | None]]
    patience: float


def begin(wanted: Wanted) -> Any:
    """A new run of W&B, or one that goes on; None where it is disabled. One line says where to find it.

    A server that does not answer, or does not want this run, costs some seconds and not the run: it is kept offline.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # to its makers, for which a process waits at its end
    os.environ.setdefault("WANDB_DATA_DIR", str(wanted.folder / "wandb" / "staging"))  # else in the user's home
    import wandb

    settings = wandb.setup().settings
    mode = wanted.mode or settings.mode
    if mode == "disabled":
        return None
    (wanted.folder / "wandb").mkdir(parents=True, exist_ok=True)
    why = ""
    if mode not in OFFLINE:
        why = unreachable(settings.base_url) or ""
        if not why:
            try:
                run = started(wanted, "online")
                print(f"W&B: {run.url}", flush=True)
                return run
            except Exception as error:
                why = brief(error)
    try:
        run = started(wanted, "offline")
    except Exception as error:
        log.warning("W&B: %s; it is told nothing of this run", brief(error))
        return None
    kept = Path(run.settings.sync_dir).parent
    print(f"W&B: {why + ', so ' if why else ''}the run is kept offline; later: wandb sync {kept}", flush=True)
    return run


def brief(error: Exception) -> str:
    """What an error says, in one line of bearable length."""
    return shorten(str(error) or type(error).__name__, 200, placeholder=" ...")


def unreachable(url: str) -> str | None:
    """Why nothing can be sent to this server; None where it can."""
    import wandb

    try:
        if not wandb.login(prompt=False, verify=False):
            return "no API key"
    except wandb.Error as error:
        return brief(error)
    reason = silence(url, QUICK)
    return None if reason is None else f"{url} cannot be reached ({reason})"


def started(wanted: Wanted, mode: str) -> Any:
    """The run itself.

    Raises:
        wandb.Error: where the server does not answer, or refuses.
    """
    import wandb

    agent = "WANDB_SWEEP_ID" in os.environ  # a `wandb agent` has begun this process, for a run of its own sweep
    environment, code = os.environ, wanted.code()
    settings = wandb.Settings(
        silent=True,
        init_timeout=BEGIN,
        finish_timeout=wanted.patience,
        finish_timeout_raises=True,
        disable_git=True,  # it would be that of the working directory
        git_commit=code.get("commit"),
        git_remote_url=code.get("remote"),
        x_transaction_log_flush_interval=0.5,  # so much is lost where the process is killed
    )
    run = wandb.init(
        mode=mode,  # type: ignore[arg-type]
        project=None if agent else wanted.project or environment.get("WANDB_PROJECT", PROJECT),
        entity=None if agent else wanted.entity,
        id=None if agent else identity(wanted.folder),
        group=wanted.group,
        name=wanted.name if "WANDB_NAME" not in environment else None,
        job_type=wanted.job_type,
        notes=wanted.notes,
        tags=[tag[:LONGEST] for tag in wanted.tags] or None,
        dir=environment.get("WANDB_DIR") or str(wanted.folder),
        config=dict(wanted.config),
        resume="allow" if mode == "online" else None,  # offline nobody knows what is there
        settings=settings,
    )
    (wanted.folder / "wandb" / "id").write_text(run.id)
    patch = code.get("diff")
    if patch:
        path = Path(run.dir) / "diff.patch"
        path.write_text(f"{patch}\n")
        run.save(str(path), base_path=run.dir, policy="now")
    return run


def identity(folder: Path) -> str:
    """The id that the run had before, or a new one."""
    file = folder / "wandb" / "id"
    known = file.read_text().strip() if file.is_file() else ""
    return known if re.fullmatch(r"[\w-]{1,64}", known) else token_hex(4)
