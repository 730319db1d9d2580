"""What sets the config of a run apart from that of the others."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from difflab.report.model import Run

ABSENT = "(not there)"
MOST = 4  # equally common values that are named


class Difference(NamedTuple):
    """A field, its value in a run, and the most common one."""

    field: str
    this: str
    common: str


def common(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """By field the value that most runs have, or all of those that are equally common."""
    configs = [run.settings for run in runs if run.settings]
    fields = dict.fromkeys(field for config in configs for field in config)
    found = {}
    for field in fields:
        counts = Counter(config.get(field, ABSENT) for config in configs)
        found[field] = tuple(value for value, n in counts.items() if n == max(counts.values()))
    return found


def differences(run: Run, most: Mapping[str, tuple[str, ...]], factors: Collection[str]) -> list[Difference]:
    """Where the config of a run has not the one most common value, but for the factors of the report and the seed.

    Fields of a group that is a factor are told by it. Nothing for a run without a config.
    """
    if not run.settings:
        return []
    found = []
    for field, values in most.items():
        this = run.settings.get(field, ABSENT)
        told = field in factors or field.partition(".")[0] in factors or is_seed(run, field, this)
        if not told and values != (this,):
            found.append(Difference(field, this, in_words(values)))
    return found


def is_seed(run: Run, field: str, value: str) -> bool:
    """Whether a field is the run's seed, or follows it."""
    return field == "seed" or (field.endswith(".seed") and value == str(run.seed))


def in_words(values: Sequence[str]) -> str:
    """The most common value, or that there are several."""
    if len(values) == 1:
        return values[0]
    named = ", ".join(values[:MOST])
    return f"equally common: {named}{f' and {len(values) - MOST} others' if len(values) > MOST else ''}"
