"""Whether anything has changed in runs since one looked, and whether anybody still works there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from difflab.report.contents import Contents
from difflab.report.sources import matches, places
from difflab.report.state import is_held

TOLD = (
    *("status.json", "config.yaml", "environment.json", "metrics.csv", "metrics.json", "evaluations.jsonl"),
    *("bound_terms.csv", "sweep.json", "samples"),
)


class Look(NamedTuple):
    """What runs look like from outside: their files, and which of their folders a process holds.

    Attributes:
        files: path, time of the last change in nanoseconds, and size.
        held: folders of runs and of sweeps.
    """

    files: frozenset[tuple[Path, int, int]]
    held: frozenset[Path]


def look(sources: Sequence[str]) -> Look:
    """The runs that these name, as they are now.

    Raises:
        ConfigError: for a source that names nothing.
    """
    runs = [place.path for place in places(sources)[0]]
    named = [path for source in sources for path in matches(source)]
    own = dict.fromkeys([*runs, *(run.parent for run in runs), *named])  # a sweep is held while none of its jobs is
    files = frozenset(file for folder in own for file in changed(folder))
    return Look(files, frozenset(folder for folder in own if is_held(Contents(folder))))


def changed(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """When what a folder tells was last changed."""
    for name in TOLD:
        try:
            stat = (folder / name).stat()
        except OSError:  # it is not there, or not yet
            continue
        yield folder / name, stat.st_mtime_ns, stat.st_size
