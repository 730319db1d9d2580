"""metrics.csv: every logged figure by step, in a file that is whole at any time."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from difflab.files import could_not, unfinished

Rows = dict[int, dict[str, Any]]


class Table(Logger):
    """A row for each step, a column for each figure; a resumed run takes back the rows after the step it starts from.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: Rows = {}

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration has a file of its own."""

    @rank_zero_only
    def rewind(self, step: int, text: str | None = None) -> None:
        """Forget the rows after `step`: the run goes on from there.

        Args:
            text: the table as the checkpoint of that step has it, whatever has become of the file; None for the file's.
        """
        if text is None:
            text = self.path.read_text(errors="replace") if self.path.exists() else ""
        self.rows = {s: row for s, row in parsed(text).items() if s <= step}
        self.write()

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        known, latest = self.columns(), max(self.rows, default=-1)
        self.rows.setdefault(step, {"step": step}).update(metrics)
        if step > latest and metrics.keys() <= set(known) and self.path.exists():
            try:
                with self.path.open("a", newline="") as file:  # the usual case: one more line
                    csv.DictWriter(file, known).writerow(self.rows[step])
            except OSError as error:
                raise could_not(self.path, error) from error
        else:
            self.write()

    def columns(self) -> list[str]:
        """The step, and every figure that some row has."""
        return ["step", *sorted({key for row in self.rows.values() for key in row} - {"step"})]

    def text(self) -> str:
        """The content of the file."""
        file = StringIO(newline="")
        writer = csv.DictWriter(file, self.columns())
        writer.writeheader()
        writer.writerows(self.rows[step] for step in sorted(self.rows))
        return file.getvalue()

    def write(self) -> None:
        """The whole table, renamed into place."""
        with unfinished(self.path) as new:
            new.write_text(self.text(), newline="")


def parsed(text: str) -> Rows:
    """The rows of a table by their steps, without a last line that was cut off or never reached the disk."""
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    rows = [row for row in csv.DictReader(whole) if (row.get("step") or "").isdecimal()]
    return {int(row["step"]): {k: v for k, v in row.items() if k and v} for row in rows}
