"""The files of a run folder, read without trusting whoever has written them: bounded, and no way out of the folder."""

import csv
import json
import math
import os
import stat
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from difflab.report.names import clean
from difflab.runs.trust import DEEPEST, brief

SMALL = 2**20  # bytes of a file that has some thousands
LARGE = 2**25  # of one that grows with the run


class Unreadable(Exception):
    """Why a file tells nothing, in one line."""


def is_folder(path: Path) -> bool:
    """Whether a folder is there, for all that can be seen."""
    try:
        return path.is_dir()
    except OSError:
        return False


class Contents:
    """What lies in a run folder.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.top = os.path.realpath(folder)

    def names(self, folder: str) -> list[str]:
        """What lies in a folder of it, by name; nothing where that cannot be seen."""
        try:
            return sorted(path.name for path in (self.folder / folder).iterdir())
        except OSError:
            return []

    def inside(self, name: str) -> str | None:
        """The file of this name without links; None where there is none.

        Raises:
            Unreadable: where it lies elsewhere, or is no file.
        """
        real = os.path.realpath(self.folder / name)
        if not os.path.lexists(real):
            return None
        if not Path(real).is_relative_to(self.top):
            raise Unreadable(f"{name} leads out of the run folder")
        try:
            found = os.lstat(real)
        except OSError as error:
            raise Unreadable(f"{name} cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{name} is no file")
        return real

    def content(self, name: str, most: int) -> bytes | None:
        """All of a file; None where there is none.

        Raises:
            Unreadable: also where it has more bytes than `most`.
        """
        real = self.inside(name)
        if real is None:
            return None
        try:
            with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
                content = file.read(most + 1)
        except OSError as error:
            raise Unreadable(f"{name} cannot be read ({error.strerror})") from error
        if len(content) > most:
            raise Unreadable(f"{name} has more than {most:,} bytes")
        return content

    def text(self, name: str, most: int) -> str | None:
        """The same of a text."""
        content = self.content(name, most)
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"{name} is no text ({brief(error)})") from error

    def json(self, name: str, most: int = SMALL) -> dict[str, Any] | None:
        """The names and values of a JSON file; numbers that are none are None."""
        text = self.text(name, most)
        return None if text is None else parsed(text, name)

    def rows(self, name: str, most: int = LARGE) -> Iterator[tuple[list[str], list[str]]]:
        """The header and each whole line of a CSV; nothing where there is none. A line that was cut off is left out."""
        text = self.text(name, most) or ""
        reader = csv.reader(StringIO(text[: text.rfind("\n") + 1], newline=""))
        try:
            header = next(reader, [])
            for row in reader:
                yield header, row
        except csv.Error as error:
            raise Unreadable(f"{name} cannot be read ({brief(error)})") from error


def parsed(text: str, name: str) -> dict[str, Any]:
    """The names and values of a JSON text.

    Raises:
        Unreadable: where it has none.
    """
    try:
        plain = json.loads(text, parse_constant=lambda _: None, parse_float=finite, parse_int=whole)
        if not isinstance(plain, dict):
            raise Unreadable(f"{name} holds no names and values")
        return cleaned(plain, name)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name} cannot be read ({brief(error)})") from error


def cleaned(value: Any, name: str, depth: int = 0) -> Any:
    """The same with every text fit to be shown."""
    if depth > DEEPEST:
        raise Unreadable(f"{name} holds more than {DEEPEST} sections within each other")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(item, name, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(key): cleaned(item, name, depth + 1) for key, item in value.items()}
    return value


def finite(text: str) -> float | None:
    """The number that a text is; None where it is none, or has no bounds."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def whole(text: str) -> int | float | None:
    """The same of digits; as a float where they are too many to count by."""
    return int(text) if len(text) < 19 else finite(text)
