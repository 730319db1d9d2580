"""One job of a sweep, as its folder tells of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difflab.runs.folder import RunFolder

ENDED = ("done", "failed", "refused", "preempted", "interrupted")


@dataclass
class Job:
    """A job and its state: missing, running, or one of those that a run ends with.

    Attributes:
        path: its run folder, whose name is its number.
        overrides: of its command line.
        status: the content of status.json.
        before: that content when the job was launched; the same again says nothing new.
        told: whether the user has been told how it ended.
        killed: how often its process was.
        note: why it has not begun, where that is known.
    """

    path: Path
    overrides: tuple[str, ...]
    status: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    told: bool = True
    killed: int = 0
    note: str = ""

    @property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def state(self) -> str:
        return self.status.get("state", "missing")

    @property
    def reason(self) -> str:
        return self.status.get("reason", self.note)

    @property
    def seconds(self) -> float | None:
        return self.status.get("seconds")

    @property
    def pid(self) -> int | None:
        """Of the process that runs it."""
        return self.status.get("pid")

    @property
    def host(self) -> str | None:
        """The machine of that process."""
        return self.status.get("host")

    @property
    def has_ended(self) -> bool:
        """Whether it has ended since it was launched."""
        return self.state in ENDED and self.status != self.before

    def refresh(self) -> "Job":
        """Read its folder again."""
        self.status = RunFolder(self.path).read_status()
        return self

    def is_held(self) -> bool:
        """Whether a process is writing to its folder."""
        lock = RunFolder(self.path).lock
        try:
            lock.acquire()
        except (TimeoutError, OSError):
            return True
        lock.release()
        return False

    def lose(self, reason: str) -> None:
        """Write down that its process is gone."""
        folder = RunFolder(self.path)
        folder.take()
        folder.set_status("failed", reason, 1)
        folder.lock.release()
        self.killed += 1
        self.refresh()

    def arguments(self) -> list[str]:
        """What a launcher is given: its overrides, and which folder is its own."""
        more = [f"hydra.sweep.subdir={self.number}"]
        hidden = self.path / ".hydra"
        if (hidden / "config.yaml").is_file():
            more.append(f"hydra.output_subdir=.hydra/resume-{1 + len(list(hidden.glob('resume-*')))}")
        return [*self.overrides, *more]

    def figures(self) -> dict[str, float]:
        """The final figures; empty where it has not ended well."""
        if self.state != "done":
            return {}
        try:
            return json.loads(RunFolder(self.path).metrics.read_text())
        except (OSError, ValueError):
            return {}

    def record(self) -> dict[str, Any]:
        """Its entry in sweep.json."""
        return {
            "job": self.number,
            "overrides": list(self.overrides),
            "state": self.state,
            "reason": self.reason,
            "seconds": self.seconds,
        }
