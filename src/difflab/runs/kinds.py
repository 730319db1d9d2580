"""Kinds of values that fields may take: each in words and as a test."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Which values a field may take, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def shown(value: Any) -> str:
    """A value as it is written in YAML; the beginning of a long one."""
    text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    return text if len(text) <= 100 else f"{text[:97]}..."


def whole(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: Any) -> bool:
    """Whether a value is a finite number that a float can hold; true, false and .nan are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() != "" for item in value)


def folder_name(value: Any) -> bool:
    """Whether a value can be the name of one folder, on any system."""
    if not isinstance(value, str) or not value.strip() or value.startswith(".") or len(value.encode()) > 200:
        return False
    return not set(value) & set("/\\") and value.isprintable()


def duration(value: Any) -> bool:
    """Whether Lightning's timer can read this as a time."""
    if isinstance(value, dict):
        units = {"weeks", "days", "hours", "minutes", "seconds"}
        return value.keys() <= units and all(number(v) and v >= 0 for v in value.values()) and any(value.values())
    return isinstance(value, str) and re.fullmatch(r"\d+(:\d\d){3}", value) is not None


def devices(value: Any) -> bool:
    """Whether Lightning's Trainer can read this as devices."""
    if isinstance(value, list):
        return len(value) > 0 and all(whole(i) and i >= 0 for i in value) and len(set(value)) == len(value)
    return value in ("auto", -1) or (whole(value) and value >= 1)


def batches(least: int) -> Callable[[Any], bool]:
    """Whether Lightning's Trainer can read a value as a number of batches from `least` on, or a share of them."""
    return lambda v: (whole(v) and v >= least) or (isinstance(v, float) and (0 < v <= 1 or v == least == 0))


def pair(value: Any) -> bool:
    """Whether a value is a point of the plane."""
    return isinstance(value, list) and len(value) == 2 and all(map(number, value))


def covariance(value: Any) -> bool:
    """Whether a value is a variance, two of them, or a symmetric matrix; what else a covariance needs comes later."""
    if not isinstance(value, list):
        return number(value) and value >= 0
    return pair(value) or (len(value) == 2 and all(map(pair, value)) and value[0][1] == value[1][0])


COUNT = Range("whole numbers from 1", lambda v: whole(v) and v >= 1)
NATURAL = Range("whole numbers from 0", lambda v: whole(v) and v >= 0)
SEED = Range("whole numbers from 0 to 2^63 - 1", lambda v: whole(v) and 0 <= v < 2**63)
POSITIVE = Range("positive numbers", lambda v: number(v) and v > 0)
NOT_NEGATIVE = Range("numbers from 0", lambda v: number(v) and v >= 0)
FINITE = Range("finite numbers", number)
SHARE = Range("numbers from 0 to 1", lambda v: number(v) and 0 <= v <= 1)
PROPER = Range("numbers from 0 to below 1", lambda v: number(v) and 0 <= v < 1)
BETWEEN = Range("numbers between 0 and 1", lambda v: number(v) and 0 < v < 1)
COUNTS = Range("one or more whole numbers from 1", lambda v: len(v) > 0 and all(whole(i) and i >= 1 for i in v))
SIDES = Range("whole numbers from 1", lambda v: all(whole(i) and i >= 1 for i in v))
TEXT = Range("text", lambda v: isinstance(v, str) and v.strip() != "")
TEXTS = Range("a list of texts", texts)
SHARES = Range("one or more numbers from 0 to 1", lambda v: len(v) > 0 and all(map(SHARE.holds, v)))
SWITCH = Range("null, true, false", lambda v: isinstance(v, bool))
