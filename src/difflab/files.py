"""Files that are whole or as they were before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """The name under which the file at `path` is written; it gets its own when all of it is there.

    Raises:
        OSError: where that cannot be, with the file and the reason; nothing half-written is left.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        yield new
        new.replace(path)
    except BaseException as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise could_not(path, error) from error
        raise


def could_not(path: Path, error: OSError) -> OSError:
    """The error of a file that cannot be written: which, and why; a full disk names none."""
    return OSError(f"{path} could not be written ({error.strerror or error})")


def flush(path: Path) -> None:
    """Have the content of a file on the disk before it gets the name that is trusted: no blackout empties it then."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
