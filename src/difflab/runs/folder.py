"""The run folder: who writes it, what state it is in, what it was made with."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import gethostname
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.files import flush, unfinished
from difflab.runs.trust import check_inside, read_yaml

PACKAGES = ("difflab", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy", "wandb")

SECTIONS = {"data", "model", "schedule", "prediction", "sampler", "likelihood", "metrics", "features", "generation"}
NEWER = {"decoder"}  # sections that runs of earlier versions lack


def write_text(path: Path, text: str) -> None:
    """A file that is whole or as it was before."""
    with unfinished(path) as new:
        new.write_text(text)
        flush(new)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """The same for JSON."""
    write_text(path, json.dumps(content, indent=1) + "\n")


class RunFolder:
    """outputs/runs/NAME/DATE_TIME-XXXX and the names of what lies in it.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.status = path / "config.yaml", path / "status.json"
        self.checkpoints, self.samples = path / "checkpoints", path / "samples"
        self.table, self.metrics = path / "metrics.csv", path / "metrics.json"
        self.evaluations = path / "evaluations.jsonl"
        self.lock = FileLock(path / ".hydra" / "lock", timeout=0)

    @classmethod
    def existing(cls, field: str, path: str | Path) -> "RunFolder":
        """A folder that some run has written.

        Raises:
            ConfigError: where it is none, or leads elsewhere.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise ConfigError(f"{field}: {path} is not a run folder; allowed are folders with a config.yaml of a run")
        check_inside(folder.path, field)
        return folder

    def take(self) -> None:
        """Become the one process that writes here, until it ends.

        Raises:
            ConfigError: where another one does.
        """
        Path(self.lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire(timeout=1)  # somebody may be looking whether it is held
        except Timeout as error:
            raise ConfigError(
                f"resume: another process is writing to {self.path}; allowed are folders whose run has ended"
            ) from error

    def set_status(self, state: str, reason: str = "", code: int | None = None, seconds: float | None = None) -> None:
        """state: running, done, failed, refused, preempted or interrupted; after so many seconds."""
        status = {"state": state, "reason": reason, "exit": code, "time": datetime.now().isoformat(timespec="seconds")}
        where = {"pid": os.getpid(), "host": gethostname()} if state == "running" else {"seconds": seconds}
        self.write_status(status | where)

    def write_status(self, status: Mapping[str, Any]) -> None:
        """status.json, by the process that holds the folder; a full disk does not change how the run ends."""
        if self.lock.is_locked:
            with suppress(OSError):
                write_json(self.status, status)

    def read_status(self) -> dict[str, Any]:
        """What was set last; empty where nothing was."""
        try:
            status = json.loads(self.status.read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return status if isinstance(status, dict) else {}

    def read_config(self, field: str) -> DictConfig:
        """The saved config of the run, as plain values: nothing in it can be resolved.

        Raises:
            ConfigError: where it is not what a run writes.
        """
        plain = read_yaml(self.config, field)
        for section in sorted(SECTIONS):
            if not isinstance(plain.get(section), dict):
                raise ConfigError(f"{field}: {self.config} has no section {section}, and is not the config of a run")
        if not isinstance(plain.get("seed"), int):
            raise ConfigError(f"{field}: {self.config} has no seed, and is not the config of a run")
        for section in sorted(NEWER - plain.keys()):
            raise ConfigError(f"{field}: {self.config} has no {section}: an earlier difflab wrote it, and can read it")
        return OmegaConf.create(plain)

    def choices(self) -> dict[str, str]:
        """The options of groups that the run was begun with, as Hydra has written them down."""
        file = self.path / ".hydra" / "hydra.yaml"
        node: Any = read_yaml(file, "run", interpolations=True) if file.is_file() else {}
        for key in ("hydra", "runtime", "choices"):
            node = node.get(key) if isinstance(node, dict) else None
        found = node if isinstance(node, dict) else {}
        return {group: option for group, option in found.items() if isinstance(option, str) and "/" not in group}

    def describe(self, config: Any, overrides: list[str]) -> None:
        """Write environment.json and config.yaml, once; whoever finds the second finds the first."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            write_json(self.path / "environment.json", environment(overrides))
            write_text(self.config, OmegaConf.to_yaml(config))

    def record(self, evaluation: Mapping[str, Any]) -> None:
        """One more line of evaluations.jsonl, by one process at a time; a line that was cut off before stays alone."""
        line = json.dumps({"time": datetime.now().isoformat(timespec="seconds"), **evaluation}) + "\n"
        hidden = self.path / ".hydra"
        hidden.mkdir(exist_ok=True)
        with FileLock(hidden / "evaluations.lock"), self.evaluations.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read() == b"\n" else f"\n{line}"
            file.write(line.encode())


def environment(overrides: list[str]) -> dict[str, Any]:
    """Versions, commit, hardware and command, for whoever wants the same figures again."""
    return {
        "command": [sys.executable, *sys.argv],
        "overrides": overrides,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def code() -> dict[str, str | None]:
    """The commit of the code, the remote that has it, and what was changed since; None for what git does not know."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "remote": _git("remote", "get-url", "origin"),
        "diff": _git("diff", "HEAD"),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says of the code's own repository; None without one."""
    here = Path(__file__).parent
    try:
        answer = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
