"""How the figures were made: with which settings, software and hardware, and in which of them the runs differ."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from shlex import join
from typing import NamedTuple

from difflab.report.model import Report, Run
from difflab.report.page.words import number

UNKNOWN = "not recorded"
# What is told of the settings: a group with its fields, or a field.
GROUPS = ("data", "sampler", "grid", "guidance", "likelihood", "variance", "decoder", "ema", "features", "metrics")
FIELDS = (
    "generation.seed",
    "generation.chunk",
    "trainer.max_steps",
    "data.batch_size",
    "optim.lr",
    "trainer.precision",
)
COUNTS = {
    "_samples": "samples in each draw",
    "_draws": "draws",
    "_images": "test images",
    "_points": "test points",
    "_calls": "network calls for an image",
    "_floor_samples": "real images behind the value for real data",
}


class Fact(NamedTuple):
    """Something that was so in the runs.

    Attributes:
        what: it is.
        values: with the names of the runs that have them, the most frequent first.
        factor: whether runs differ in it on purpose.
    """

    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    factor: bool = False

    @property
    def differs(self) -> bool:
        """Whether runs were made under different conditions."""
        return len(self.values) > 1 and not self.factor


def fact(what: str, runs: Sequence[Run], of: Callable[[Run], str | None], factor: bool = False) -> Fact:
    """What the runs have; one without it is left out."""
    found: dict[str, list[str]] = {}
    for run in runs:
        value = of(run)
        if value is not None:
            found.setdefault(value, []).append(run.name)
    ordered = sorted(found.items(), key=lambda pair: -len(pair[1]))
    return Fact(what, tuple((value, tuple(names)) for value, names in ordered), factor)


def counts(report: Report, runs: Sequence[Run]) -> list[Fact]:
    """From how many images each metric was computed."""
    found = []
    for metric in report.metrics:
        for ending, words in COUNTS.items():
            key = f"{metric.key}{ending}"
            found.append(fact(f"{metric.title}: {words}", runs, lambda run, key=key: figure(run, key)))
    found.append(fact("network calls for a sample", runs, lambda run: figure(run, "test/network_calls")))
    return [each for each in found if each.values]


def figure(run: Run, key: str) -> str | None:
    return number(run.figures[key]) if key in run.figures else None


def settings(report: Report, runs: Sequence[Run]) -> list[Fact]:
    """Sampler, averages and whatever else bears on the figures."""
    found = [
        fact(group, runs, lambda run, group=group: option(run, group), varies(report.factors, group))
        for group in GROUPS
    ]
    found += [
        fact(field, runs, lambda run, field=field: run.settings.get(field), varies(report.factors, field))
        for field in FIELDS
    ]
    return [each for each in found if each.values]


def option(run: Run, group: str) -> str | None:
    """The name of an option and its fields."""
    own = {
        field: value
        for field, value in run.settings.items()
        if field.startswith(f"{group}.") and not field.endswith(".seed")
    }
    fields = ", ".join(
        f"{field.removeprefix(f'{group}.')}={value}" for field, value in own.items() if "._" not in field
    )
    parts = [part for part in (run.settings.get(group, ""), f"({fields})" if fields else "") if part]
    return " ".join(parts) or None


def varies(factors: Mapping[str, Sequence[str]], field: str) -> bool:
    """Whether the report is about this field, or one of its group."""
    return any(
        factor == field or factor.startswith(f"{field}.") or field.startswith(f"{factor}.") for factor in factors
    )


def software(runs: Sequence[Run]) -> list[Fact]:
    """Versions and commits."""
    names = dict.fromkeys(name for run in runs for name in packages(run))
    found = [fact("commit", runs, commit), fact("Python", runs, lambda run: text(run, "python"))]
    return found + [fact(name, runs, lambda run, name=name: packages(run).get(name, UNKNOWN)) for name in names]


def packages(run: Run) -> Mapping[str, str]:
    found = run.environment.get("packages")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, Mapping) else {}


def text(run: Run, key: str) -> str:
    return str(run.environment.get(key) or UNKNOWN)


def commit(run: Run) -> str:
    """Of the code, and whether it was changed after it."""
    return text(run, "commit") + (" with uncommitted changes" if run.environment.get("modified") else "")


def machine(run: Run) -> str:
    """What the run was made on."""
    found = run.environment.get("machine")
    if not isinstance(found, Mapping):
        return str(found) if found else UNKNOWN
    return ", ".join(f"{key} {value}" for key, value in found.items() if value not in (None, "", []))


def command(run: Run) -> str | None:
    """That made the run, as one would type it again."""
    typed = run.environment.get("command")
    if isinstance(typed, Sequence) and not isinstance(typed, str):
        return join(str(part) for part in typed)
    return str(typed) if typed else None


def provenance(report: Report) -> dict[str, list[Fact]]:
    """Facts by heading; of runs that have left figures, or of all where none has."""
    runs = [run for run in report.runs if run.done] or [run for run in report.runs if run.environment or run.settings]
    software_of = [each for each in software(runs) if each.values]
    return {
        "Sample sizes": counts(report, runs),
        "Settings": settings(report, runs),
        "Software": software_of,
        "Hardware": [each for each in (fact("machine", runs, machine),) if each.values],
    }


def conditions(found: Mapping[str, Sequence[Fact]]) -> Iterator[Fact]:
    """What differs among runs and is no setting: versions, commits, machines."""
    for heading in ("Software", "Hardware"):
        yield from (each for each in found[heading] if each.differs)
