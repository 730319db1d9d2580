"""What W&B keeps of a run on disk: the records of its .wandb file, and the media beside it."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, struct.Struct("<IHB")  # of LevelDB's logs: crc, length, type (1 whole, 2 first, 3 next, 4 last)
AXIS = "trainer/global_step"
FIRST = 7  # bytes before the first record


def records(path: Path) -> Iterator[Record]:
    """In the order in which they were written; what was cut off at the end is left out."""
    data, at, parts = path.read_bytes(), FIRST, b""
    while at + HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:  # the rest of a block is padding
            at += left
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        part = data[at + HEADER.size : at + HEADER.size + length]
        at += HEADER.size + length
        if kind not in (1, 2, 3, 4) or len(part) < length:
            return
        parts = part if kind in (1, 2) else parts + part
        if kind in (1, 4):
            yield Record.FromString(parts)


def plain(items: Any, into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Names and values of the items of a record, nested; over those that are known."""
    found = {} if into is None else into
    for item in items:
        *sections, last = [item.key] if item.key else item.nested_key
        node = found
        for section in sections:
            inner = node.get(section)
            node[section] = node = inner if isinstance(inner, dict) else {}
        node[last] = json.loads(item.value_json)
    return found


class Kept:
    """One folder of W&B, as offline-run-DATE-ID.

    Attributes:
        run: its record.
        config: by section; `_wandb` is W&B's own.
        history: what was logged, a row a call.
        summary: as it was set last.
        defined: what was said of metrics, by their names or globs.
        artifacts: their records.
        exit: the exit code; None where the run was not finished.
    """

    def __init__(self, folder: Path) -> None:
        (file,) = folder.glob("*.wandb")
        self.folder = folder
        self.run: Any = None
        self.exit: int | None = None
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.defined: dict[str, Any] = {}
        self.artifacts: list[Any] = []
        for record in records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                plain(record.run.config.update, self.config)
            elif kind == "config":
                plain(record.config.update, self.config)
            elif kind == "history":
                self.history.append(plain(record.history.item))
            elif kind == "summary":
                plain(record.summary.update, self.summary)
            elif kind == "metric":
                self.defined[record.metric.name or record.metric.glob_name] = record.metric
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "exit":
                self.exit = record.exit.exit_code

    def scalars(self) -> list[tuple[int, str, float]]:
        """Step, name and value of every figure, sorted; W&B's own and the steps themselves left out."""
        return sorted(
            (row[AXIS], key, value)
            for row in self.history
            for key, value in row.items()
            if isinstance(value, int | float) and not key.startswith("_") and key != AXIS
        )

    def media(self) -> list[Path]:
        """The files beside it."""
        return sorted(p for p in (self.folder / "files" / "media").rglob("*") if p.is_file())
