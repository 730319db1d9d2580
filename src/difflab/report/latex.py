r"""report.tex: tables for \input in a paper; it needs \usepackage{booktabs}."""

import re

from difflab.report.model import Report
from difflab.report.tables import Entry, Table, effects, figures
from difflab.report.words import one_line

SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%#$_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # else an argument of the line break before it
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "−": "$-$",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "�": "?",
}
NUMBER = re.compile(r"(?<![\w.])-(?=\d)")  # a minus, not a hyphen


def escape(text: str) -> str:
    """Any text as LaTeX that prints it; ? for letters that its usual fonts lack."""
    printed = "".join(SIGNS.get(c, c if ord(c) < 0x180 else "?") for c in one_line(text))
    return printed.replace("--", "-{}-")  # else a dash


def shown(entry: Entry) -> str:
    """One place of a table."""
    text = NUMBER.sub("$-$", escape(entry.text))
    mark = f"$^{{{entry.mark}}}$" if entry.mark else ""
    return (rf"\textbf{{{text}}}" if entry.best and text else text) + mark


def lines_of(table: Table) -> list[str]:
    """A table of booktabs with its notes as caption."""
    caption = escape(" ".join((f"{table.title}.", *table.notes)))
    rows = [" & ".join(map(shown, row)) + r" \\" for row in table.rows]
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.headings)}}}",
        r"\toprule",
        " & ".join(map(escape, table.headings)) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def document(report: Report) -> str:
    """The figures and the effects."""
    lines = [r"% \usepackage{booktabs} and \usepackage[T1]{fontenc}; made by: " + one_line(report.command)]
    for table in (figures(report), effects(report)):
        if table.rows:
            lines += ["", *lines_of(table)]
    return "\n".join(lines) + "\n"
