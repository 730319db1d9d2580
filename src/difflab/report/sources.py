"""Where the runs of a report are: folders of runs, sweeps, folders of these, and patterns."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difflab.errors import ConfigError
from difflab.report.contents import LARGE, Contents, Unreadable, is_folder
from difflab.report.names import line
from difflab.runs.resume import key_of

RUN = ("status.json", "config.yaml", "environment.json", ".hydra")  # one of these makes a run
SWEEP = ("sweep.json", "multirun.yaml")
DEEPEST, MOST = 8, 20_000  # folders within each other, and altogether, that are looked into for runs
ALLOWED = "allowed are folders of runs and of sweeps, folders of these, lists of them, and patterns such as 'sweeps/*'"


@dataclass(frozen=True)
class Place:
    """Where a run is, or should be.

    Attributes:
        path: of its folder.
        job: its entry in sweep.json, where it is one of a sweep.
    """

    path: Path
    job: Mapping[str, Any] = field(default_factory=dict)

    @property
    def typed(self) -> tuple[str, ...]:
        """Its overrides, by its sweep."""
        overrides = self.job.get("overrides")
        whole = isinstance(overrides, list) and all(isinstance(item, str) and key_of(item) for item in overrides)
        return tuple(overrides) if whole and overrides else ()


def places(sources: Iterable[Path | str]) -> tuple[list[Place], list[str]]:
    """The runs that these name, each once, and a line for whatever could not be looked into.

    Raises:
        ConfigError: for a source that names nothing.
    """
    found: dict[str, Place] = {}
    problems: list[str] = []
    named = list(sources)
    for source in named:
        search = Search()
        for path in matches(str(source)):
            search.look(path)
        if not search.found and not search.sweeps:
            why = f" ({search.problems[0]})" if search.problems else ""
            raise ConfigError(f"runs: {line(str(source))} names no run{why}; {ALLOWED}")
        for place in search.found:
            found.setdefault(os.path.realpath(place.path), place)
        problems += search.problems
    if not named:
        raise ConfigError(f"runs: [] names no run; {ALLOWED}")
    return list(found.values()), list(dict.fromkeys(problems))


def matches(source: str) -> list[Path]:
    """The folder of this name, or those that it is a pattern of."""
    if is_folder(Path(source)):
        return [Path(source)]
    found = map(Path, sorted(glob.glob(source, recursive=True)))  # noqa: PTH207, a Path takes relative patterns alone
    return [path for path in found if is_folder(path)]


class Search:
    """Looking for runs, so far.

    Attributes:
        found: runs.
        sweeps: how many, with or without jobs.
        problems: a line for each folder that could not be looked into.
    """

    def __init__(self) -> None:
        self.found: list[Place] = []
        self.sweeps, self.left = 0, MOST
        self.problems: list[str] = []

    def look(self, top: Path) -> None:
        """Take this folder, or those in it; the next level is looked at in the order of names."""
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            names = self.names(folder)
            if self.left == 0:
                self.problems.append(f"{line(str(top))}: only {MOST:,} folders were looked into; name deeper ones")
                return
            self.left -= 1
            if any(name in names for name in SWEEP):
                self.sweeps += 1
                self.found += self.jobs(folder, names)
            elif any(name in names for name in RUN):
                self.found.append(Place(folder))
            elif depth < DEEPEST:
                below = [folder / name for name in names if not name.startswith(".")]
                waiting += [(path, depth + 1) for path in reversed(below) if self.is_here(path)]

    def is_here(self, path: Path) -> bool:
        """Whether it is a folder, and not behind a link: one that leads elsewhere is said to be left out."""
        if not is_folder(path):
            return False
        if path.is_symlink():
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
                self.problems.append(f"{line(str(path))} leads elsewhere and is left out; it can be named in runs=")
            return False
        return True

    def names(self, folder: Path) -> list[str]:
        """What lies in a folder."""
        try:
            return sorted(path.name for path in folder.iterdir())
        except OSError as error:
            self.problems.append(f"{line(str(folder))} cannot be looked into ({error.strerror})")
            return []

    def jobs(self, sweep: Path, names: Sequence[str]) -> Iterator[Place]:
        """The jobs of a sweep, those that its record knows and those that have a folder."""
        try:
            record = Contents(sweep).json("sweep.json", LARGE)
            entries = {} if record is None else self.entries(sweep, record)
        except Unreadable as error:
            self.problems.append(f"{line(str(sweep))}: {error}")
            entries = {}
        there = {int(name) for name in names if is_number(name) and self.begun(sweep / name)}
        for number in sorted(entries.keys() | there):
            yield Place(sweep / str(number), entries.get(number, {}))
        if not entries and not there:
            self.problems.append(f"{line(str(sweep))}: this sweep has no jobs")

    def entries(self, sweep: Path, record: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
        """What a sweep's record says of each job."""
        jobs = record.get("jobs")
        listed = jobs if isinstance(jobs, list) else [None]
        good: dict[int, Mapping[str, Any]] = {}
        for job in listed:
            number = job.get("job") if isinstance(job, dict) else None
            if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
                good[number] = job
        if len(good) != len(listed):
            self.problems.append(f"{line(str(sweep))}: sweep.json lists jobs that are none")
        return good

    def begun(self, folder: Path) -> bool:
        """Whether a job has left something there."""
        return self.is_here(folder) and any(name in RUN for name in self.names(folder))


def is_number(name: str) -> bool:
    """Whether a folder is called as a job is."""
    return name.isascii() and name.isdigit() and len(name) < 10 and name == str(int(name))
