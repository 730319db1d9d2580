"""What takes long to compute is kept in a folder, and computed by one process while others wait for it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from difflab.files import unfinished


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Be the only process at work on a file, and its folder there; False where nothing can be written."""
    lock = FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def kept(path: Path | None, compute: Callable[[], Mapping[str, Any]], whole: Callable[[Any], object]) -> Any:
    """What is computed once for a path, and read from there by whoever asks again.

    Where nothing can be written it is computed every time: a folder that is read-only costs time, no run.

    Args:
        path: of a JSON file, named by all that the result depends on; None for nowhere.
        compute: the result, as a plain container.
        whole: raises KeyError, TypeError or ValueError for what is none.
    """
    if path is None:
        return compute()
    with alone(path) as writable:
        if not writable:
            return compute()
        with suppress(OSError, KeyError, TypeError, ValueError):
            known = json.loads(path.read_text())
            whole(known)
            return known
        found = compute()
        with suppress(OSError), unfinished(path) as new:
            new.write_text(json.dumps(found, indent=1) + "\n")
        return found
