"""report.md: the report as text that any viewer of Markdown shows, and the part of it that a terminal shows."""

import re

from difflab.report.conclusions import conclusions
from difflab.report.model import Report
from difflab.report.tables import Entry, Table, all_tables, figures
from difflab.report.words import one_line

# What could begin code, emphasis, a column, a formula, a heading, a link or a tag.
SIGNS = re.compile(r"[\\`*|$~]|^#|\](?=[(\[:])|\[(?=\^)|(?<!\w)_|_(?!\w)")
TAGS = re.compile(r"<(?=[A-Za-z/!?])")


def escape(text: str) -> str:
    """Somebody else's text as it is: nothing in it is markup, and it is one line."""
    kept = SIGNS.sub(lambda found: f"\\{found[0]}", one_line(text))
    return TAGS.sub("&lt;", kept.replace("&", "&amp;")).replace(">", "&gt;")


def shown(entry: Entry) -> str:
    """One place of a table."""
    text = escape(entry.text)
    return (f"**{text}**" if entry.best and text else text) + (f" {escape(entry.mark)}" if entry.mark else "")


def lines_of(table: Table) -> list[str]:
    """A table with columns of even width."""
    cells = [[escape(heading) for heading in table.headings], *([shown(e) for e in row] for row in table.rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(table.headings))]
    cells.insert(1, ["-" * width for width in widths])
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]


def document(report: Report) -> str:
    """The whole of report.md."""
    lines = [f"# {escape(report.title)}", "", *(f"- {escape(sentence)}" for sentence in conclusions(report))]
    for table in all_tables(report):
        lines += ["", f"## {escape(table.title)}", "", *lines_of(table)]
        for note in table.notes:
            lines += ["", escape(note)]
    return "\n".join(lines) + "\n"


def brief(report: Report) -> str:
    """What a terminal shows: the sentences and the first table."""
    table = figures(report)
    lines = [one_line(report.title), *(f"- {sentence}" for sentence in conclusions(report))]
    if table.rows:
        lines += ["", *lines_of(table), "", *table.notes]
    return "\n".join(lines) + "\n"
