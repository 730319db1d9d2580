"""The table of a sweep as CSV and as text."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from difflab.plots.sweep_table import LEVEL, Cell

Columns = Mapping[str, Mapping[str, Cell]]  # by figure, by variant


def write(columns: Columns, path: Path) -> None:
    """Every number as CSV, a line for each variant and figure."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["variant", "metric", "mean", "interval", "n", "best", "p_holm", "values"])
        for metric, cells in columns.items():
            for variant, cell in cells.items():
                numbers = ("" if value != value else f"{value:.6g}" for value in (cell.mean, cell.interval))
                p = "" if cell.p != cell.p else f"{cell.p:.3g}"
                each = " ".join(f"{value:.6g}" for value in cell.values)
                table.writerow([variant, metric, *numbers, len(cell.values), int(cell.best), p, each])


def markdown(columns: Columns) -> str:
    """The table to read: the best in bold, a star where it cannot be told from the best, ? where nothing can tell."""
    variants = list(dict.fromkeys(variant for cells in columns.values() for variant in cells))
    lines = [["variant", *columns], *([v, *(shown(cells[v]) for cells in columns.values())] for v in variants)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    body = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([*body, "", *notes(columns)]) + "\n"


def shown(cell: Cell) -> str:
    """mean ± interval (n)."""
    if not cell.values:
        return ""
    text = f"{cell.mean:.4g}" + (f" ± {cell.interval:.2g}" if len(cell.values) > 1 else "") + f" ({len(cell.values)})"
    if cell.best:
        return f"**{text}**"
    return text + (" *" if cell.p > LEVEL else "") + (" ?" if cell.p != cell.p else "")


def notes(columns: Columns) -> Iterator[str]:
    """What the marks mean, of those that are there."""
    cells = [cell for each in columns.values() for cell in each.values() if cell.values]
    yield "Mean over seeds ± 95% t-interval (number of runs); bold: the best mean of its column."
    if any(cell.p > LEVEL for cell in cells):
        yield "\\* not told from the best: paired differences over seeds, Student's t, Holm over all pairs at 5%."
    if any(cell.p != cell.p and not cell.best for cell in cells):
        yield "? fewer than two seeds in common with the best: one run a variant cannot tell them apart."
