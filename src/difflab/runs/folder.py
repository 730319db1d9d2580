"""The run folder: who writes it, what state it is in, what it was made with."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from difflab.errors import ConfigError

PACKAGES = ("difflab", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy", "wandb")


def write_text(path: Path, text: str) -> None:
    """A file that is whole or as it was before."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


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
            ConfigError: where it is none.
        """
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise ConfigError(f"{field}: {path} is not a run folder; allowed are folders with a config.yaml of a run")
        return folder

    def take(self) -> None:
        """Become the one process that writes here, until it ends.

        Raises:
            ConfigError: where another one does.
        """
        Path(self.lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except Timeout as error:
            raise ConfigError(
                f"resume: another process is writing to {self.path}; allowed are folders whose run has ended"
            ) from error

    def set_status(self, state: str, reason: str = "", code: int | None = None) -> None:
        """state: running, done, failed, refused, preempted or interrupted."""
        if self.lock.is_locked:
            now = datetime.now().isoformat(timespec="seconds")
            write_json(self.status, {"state": state, "reason": reason, "exit": code, "time": now})

    def read_status(self) -> dict[str, Any]:
        """What was set last; empty where nothing was."""
        try:
            return json.loads(self.status.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def describe(self, config: Any, overrides: list[str]) -> None:
        """Write config.yaml, once, and environment.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            write_text(self.config, OmegaConf.to_yaml(config))
            write_json(self.path / "environment.json", environment(overrides))

    def record(self, evaluation: Mapping[str, Any]) -> None:
        """One more line of evaluations.jsonl."""
        line = json.dumps({"time": datetime.now().isoformat(timespec="seconds"), **evaluation}) + "\n"
        with self.evaluations.open("a") as file:
            file.write(line)


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
