"""What the page calls things that nobody has given a title."""

from math import isfinite

from difflab.runs import results


def number(value: float) -> str:
    """Four significant digits, whole numbers whole; a dash for none."""
    return results.number(value) if isfinite(value) else "–"


def duration(seconds: float | None) -> str:
    """So many seconds, or minutes, or hours."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def key(name: str) -> str:
    """The key of a figure as words."""
    return name.replace("/", ": ").replace("_", " ")
