"""The folder of a sweep: who runs it, what jobs are there, and sweep.json."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from difflab.errors import ConfigError
from difflab.runs.folder import write_json
from difflab.runs.resume import key_of
from difflab.runs.sweeps.job import Job
from difflab.runs.trust import read_json, read_overrides

log = logging.getLogger(__name__)
UNSAID = ("sweep", "logger", "trainer.max_time")  # what a job may be gone on with otherwise, and is the same job


class SweepFolder:
    """outputs/sweeps/NAME/DATE_TIME-XXXX.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.file = self.path / "sweep.json"
        self.lock = FileLock(self.path / ".hydra" / "lock", timeout=0, is_singleton=True)
        self.written: dict[str, Any] = {}
        self.warned = False

    def take(self) -> None:
        """Become the one process that runs this sweep, until it ends.

        Raises:
            ConfigError: where another one does.
        """
        (self.path / ".hydra").mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire(timeout=1)  # somebody may be looking whether it is held
        except Timeout as error:
            raise ConfigError(f"sweep.resume: another process runs {self.path}; allowed is one at a time") from error

    def read(self) -> dict[str, Any]:
        """What sweep.json says; empty where there is none.

        Raises:
            ConfigError: where it cannot be read.
        """
        return read_json(self.file, "sweep.resume") if self.file.is_file() else {}

    def write(self, record: dict[str, Any]) -> bool:
        """sweep.json, where it says something new; whether it says that now."""
        if record != self.written:
            try:
                write_json(self.file, record)
            except OSError as error:
                if not self.warned:
                    log.warning("%s could not be written (%s); the jobs' own folders have it all", self.file, error)
                self.warned = True
                return False
            self.written = json.loads(json.dumps(record))
        return True

    def jobs(self) -> list[Job]:
        """The jobs that are there, by their numbers."""
        found = []
        for path in sorted(self.path.glob("[0-9]*"), key=lambda p: (len(p.name), p.name)):
            file = path / ".hydra" / "overrides.yaml"
            if path.name.isdigit() and file.is_file():
                found.append(Job(path, tuple(read_overrides(file, "sweep.resume"))).refresh())
        return found

    def next_number(self, jobs: Sequence[Job]) -> int:
        """The first that neither a folder nor one of these jobs has."""
        taken = [int(path.name) for path in self.path.iterdir() if path.name.isdigit()]
        return max([-1, *taken, *(job.number for job in jobs)]) + 1

    @property
    def stop(self) -> Path:
        """While this file is there, no further job of the sweep begins, in whatever process."""
        return stop_file(self.path)


def stop_file(sweep: Path) -> Path:
    """The same of a path."""
    return sweep / ".hydra" / "stop"


def identity(overrides: Sequence[str], varies: Sequence[str]) -> frozenset[str]:
    """What makes two jobs of a sweep the same one: their overrides, in any order, but for those that change no figure.

    Args:
        overrides: of the job.
        varies: the fields by which the jobs of the sweep differ; they always count.
    """

    def counts(override: str) -> bool:
        key = key_of(override)
        return key in varies or not any(key == name or key.startswith(f"{name}.") for name in UNSAID)

    return frozenset(filter(counts, overrides))
