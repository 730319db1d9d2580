"""metrics.csv: every logged figure by step, in a file that is whole at any time."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class Table(Logger):
    """A row for each step, a column for each figure; a resumed run takes back the rows after the step it starts from.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: dict[int, dict[str, Any]] = {}
        self.columns: list[str] = []
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a crash may have cut the last line
            self.rows = {int(row["step"]): {k: v for k, v in row.items() if v} for row in csv.DictReader(whole)}

    @property
    def name(self) -> str:
        return "table"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration has a file of its own."""

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Forget the rows after `step`: the run goes on from there."""
        self.rows = {s: row for s, row in self.rows.items() if s <= step}
        self.write()

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        known = {key for row in self.rows.values() for key in row}
        latest = max(self.rows, default=-1)
        self.rows.setdefault(step, {"step": step}).update(metrics)
        if step > latest and metrics.keys() <= known and self.path.exists():
            with self.path.open("a", newline="") as file:  # the usual case: one more line
                csv.DictWriter(file, self.columns).writerow(self.rows[step])
        else:
            self.write()

    def write(self) -> None:
        """The whole table, renamed into place."""
        keys = {key: None for row in self.rows.values() for key in row if key != "step"}
        self.columns = ["step", *sorted(keys)]
        new = self.path.with_suffix(".new")
        with new.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows[step] for step in sorted(self.rows))
        new.replace(self.path)
