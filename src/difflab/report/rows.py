"""report.csv: a line for each run with its state, what was set, and every figure."""

import csv
from io import StringIO

from difflab.report.contents import finite
from difflab.report.made import command
from difflab.report.model import Report

FORMULA = ("=", "+", "-", "@", "\t")
FIRST = ("run", "variant", "state", "reason", "seed")


def document(report: Report) -> str:
    """The whole of report.csv; numbers in full, nothing where there is none."""
    variants = {run.path: variant for variant in report.variants for run in variant.runs}
    keys = list(dict.fromkeys(key for run in report.runs for key in run.figures if key != "seed"))
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIRST, *report.factors, *keys, "seconds", "command", "folder"])
    for run in report.runs:
        variant = variants.get(run.path)
        levels = variant.levels if variant is not None else run.settings
        what = [run.name, variant.name if variant is not None else "", run.state, run.reason, run.seed]
        figures = [run.figures.get(key) for key in keys]
        own = [levels.get(factor, "") for factor in report.factors]
        writer.writerow(map(cell, [*what, *own, *figures, run.seconds, command(run), str(run.path)]))
    return text.getvalue()


def cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and finite(value) is None else value
