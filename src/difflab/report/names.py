"""Text that others have written, fit for a page and a terminal, and names that can be told apart."""

from collections.abc import Iterable
from unicodedata import category


def clean(text: str) -> str:
    """The same without what no file or terminal should be given: control characters and halves of characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if c not in "\n\t" and category(c) in ("Cc", "Cs") else c for c in text)


def line(text: str) -> str:
    """The same in one line."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def unique(names: Iterable[str]) -> list[str]:
    """The same names in the same order; one that was there before gets a number."""
    taken: dict[str, None] = {}
    for name in names:
        number, own = 2, name
        while own in taken:
            number, own = number + 1, f"{name} ({number})"
        taken[own] = None
    return list(taken)
