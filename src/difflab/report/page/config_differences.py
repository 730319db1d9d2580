"""What sets the config of a run apart from that of the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from difflab.report.model import Run

ABSENT = "(not there)"
OWN = ("seed",)  # fields in which runs differ anyway, and which are told elsewhere


class Difference(NamedTuple):
    """A field, its value in a run, and what most of the others have."""

    field: str
    this: str
    usual: str


def usual(runs: Sequence[Run]) -> dict[str, str]:
    """By field the value that most runs have; of equally frequent ones the first that was met."""
    configs = [run.settings for run in runs if run.settings]
    fields = dict.fromkeys(field for config in configs for field in config)
    return {field: Counter(config.get(field, ABSENT) for config in configs).most_common(1)[0][0] for field in fields}


def differences(run: Run, most: Mapping[str, str]) -> list[Difference]:
    """Where the config of a run is not as `usual` has it; nothing for a run without one."""
    if not run.settings:
        return []
    pairs = ((field, run.settings.get(field, ABSENT), value) for field, value in most.items() if field not in OWN)
    return [Difference(field, this, value) for field, this, value in pairs if this != value]
