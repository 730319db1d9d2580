"""What a run has written on its way, each file for itself: one that is broken is told, and the others count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from difflab.report.contents import LARGE, Contents, Unreadable, finite, parsed
from difflab.report.names import clean

PICTURE = 2**22  # bytes of a grid of samples; ours have some thousands
PNG = b"\x89PNG\r\n\x1a\n"

Say = Callable[[str], None]  # a line for the report


def curves(files: Contents, say: Say) -> dict[str, tuple[list[int], list[float]]]:
    """metrics.csv; a step that is there twice counts as it was written last."""
    columns: dict[str, dict[int, float]] = {}
    strange = 0
    try:
        for header, row in files.rows("metrics.csv"):
            cells = dict(zip(header, row, strict=False))
            step = cells.pop("step", "")
            if not is_count(step):
                strange += 1
                continue
            for key, text in cells.items():
                if text:
                    value = finite(text)
                    strange += value is None and text.lower().lstrip("+-") not in ("nan", "inf")
                    columns.setdefault(clean(key), {}).update({} if value is None else {int(step): value})
    except Unreadable as error:
        say(str(error))
        return {}
    if strange:
        say(f"metrics.csv: {strange} values are no numbers, and are left out")
    ordered = {key: sorted(column.items()) for key, column in columns.items() if column}
    return {key: ([s for s, _ in rows], [v for _, v in rows]) for key, rows in ordered.items()}


def terms(files: Contents, say: Say) -> tuple[tuple[int, int, float], ...]:
    """bound_terms.csv, of the bound that counts."""
    found = []
    try:
        for _, row in files.rows("bound_terms.csv"):
            bits = finite(row[2]) if len(row) > 2 else None
            if bits is None or not (is_count(row[0]) and is_count(row[1])):
                raise Unreadable("bound_terms.csv holds no stretches of a chain")
            found.append((int(row[0]), int(row[1]), bits))
    except Unreadable as error:
        say(str(error))
        return ()
    return tuple(found)


def evaluations(files: Contents, say: Say) -> tuple[dict[str, Any], ...]:
    """evaluations.jsonl, without lines that were cut off."""
    found, cut = [], 0
    try:
        text = files.text("evaluations.jsonl", LARGE) or ""
    except Unreadable as error:
        say(str(error))
        return ()
    for line in filter(str.strip, text.split("\n")):
        try:
            found.append(parsed(line, "evaluations.jsonl"))
        except Unreadable:
            cut += 1
    if cut:
        say(f"evaluations.jsonl: lines that cannot be read, and are left out: {cut}")
    return tuple(found)


def pictures(files: Contents, say: Say) -> dict[int, Path]:
    """samples/step_*.png."""
    found = {}
    for name in files.names("samples"):
        step = name.removeprefix("step_").removesuffix(".png")
        if not is_count(step) or name != f"step_{step}.png":
            continue
        try:
            if not (files.content(f"samples/{name}", PICTURE) or b"").startswith(PNG):
                raise Unreadable(f"samples/{name} is no picture")
            found[int(step)] = files.folder / "samples" / name
        except Unreadable as error:
            say(str(error))
    return found


def is_count(text: str) -> bool:
    """Whether it is a whole number that something can be counted by."""
    return text.isascii() and text.isdigit() and len(text) < 19
