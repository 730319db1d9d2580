"""The files of a report, each of them whole or as it was before."""

import sys
from pathlib import Path
from tempfile import TemporaryFile

from difflab.errors import ConfigError
from difflab.report import as_json, latex, markdown, rows
from difflab.report.model import Report
from difflab.runs.folder import write_text

TEXTS = {
    "report.md": markdown.document,
    "report.csv": rows.document,
    "report.tex": latex.document,
    "report.json": as_json.document,
}
EXTRA = {"plotly", "itables", "jinja2"}  # what the page needs beside the core


def check(folder: Path) -> None:
    """Make the folder, and see whether it takes files.

    Raises:
        ConfigError: where it does not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
        taken = [name for name in ("report.html", *TEXTS) if (folder / name).is_dir()]
    except OSError as error:
        raise ConfigError(f"out: {folder} ({error.strerror}); allowed are folders that take files") from error
    if taken:
        raise ConfigError(f"out: {folder} ({taken[0]} is a folder there); allowed are folders that take files")


def write(report: Report, folder: Path) -> list[Path]:
    """All files of a report; those that are there now. The page is left out where the extra `report` is missing."""
    for name, document in TEXTS.items():
        write_text(folder / name, document(report))
    written = [folder / name for name in TEXTS]
    return [folder / "report.html", *written] if write_page(report, folder / "report.html") else written


def write_page(report: Report, path: Path) -> bool:
    """report.html; whether it could be made."""
    try:
        from difflab.report import page

        page.write(report, path)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        print(f"report.html needs {error.name}: pip install 'difflab[report]'", file=sys.stderr)
        return False
    return True
