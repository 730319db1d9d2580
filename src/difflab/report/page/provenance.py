"""How the figures were made: with which settings, software and hardware, and in which of them the runs differ."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from difflab.report import factors, made
from difflab.report.model import Report, Run
from difflab.report.page.words import number

UNKNOWN = "not recorded"
FACTOR, FOLLOWS, RESULT = "a factor of this report", "follows a factor of this report", "a result of each run"
# What is told of the settings: a group with its fields, or a field.
GROUPS = ("data", "sampler", "grid", "guidance", "likelihood", "variance", "decoder", "ema", "features", "metrics")
FIELDS = (
    "generation.seed",
    "generation.chunk",
    "generation.precision",
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
FLOOR = "_floor_samples"
CALLS = "_calls"
LENGTHS = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_time", "data")  # of a training


class Fact(NamedTuple):
    """Something that was so in the runs.

    Attributes:
        what: it is.
        values: with the names of the runs that have them, the most frequent first.
        excuse: why runs may differ in it; empty where they should not.
    """

    what: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    excuse: str = ""

    @property
    def differs(self) -> bool:
        """Whether runs were made under different conditions."""
        return len(self.values) > 1 and not self.excuse


def fact(what: str, runs: Sequence[Run], of: Callable[[Run], str | None], excuse: str = "") -> Fact:
    """What the runs have; one without it is left out."""
    found: dict[str, list[str]] = {}
    for run in runs:
        value = of(run)
        if value is not None:
            found.setdefault(value, []).append(run.name)
    ordered = sorted(found.items(), key=lambda pair: -len(pair[1]))
    return Fact(what, tuple((value, tuple(names)) for value, names in ordered), excuse)


def counts(report: Report, runs: Sequence[Run]) -> list[Fact]:
    """From how many images each metric was computed; sizes differ on purpose where data or metrics do."""
    follows = any(varies(report.factors, group) for group in ("data", "metrics"))
    found = []
    for metric in report.metrics:
        for ending, words in COUNTS.items():
            if ending != FLOOR or isfinite(metric.floor):
                of = partial(figure, key=f"{metric.key}{ending}")
                excuse = RESULT if ending == CALLS else FOLLOWS if follows else ""
                found.append(fact(f"{metric.title}: {words}", runs, of, excuse))
    calls = partial(figure, key="test/network_calls")
    found.append(fact("network calls for a sample", runs, calls, FOLLOWS * varies(report.factors, "sampler")))
    return [each for each in found if each.values]


def figure(run: Run, key: str) -> str | None:
    return number(run.figures[key]) if key in run.figures else None


def settings(report: Report, runs: Sequence[Run]) -> list[Fact]:
    """Sampler, averages and whatever else bears on the figures."""
    seeds = own_seeds(runs)
    asked = [(group, partial(option, group=group, seeds=seeds)) for group in GROUPS]
    asked += [(field, partial(setting, field=field, seeds=seeds)) for field in FIELDS]
    found = [fact(name, runs, of, FACTOR * varies(report.factors, name)) for name, of in asked]
    found.append(trained(report, runs))
    return [each for each in found if each.values]


def trained(report: Report, runs: Sequence[Run]) -> Fact:
    """Steps, that may be fewer than were asked for; on purpose where variants differ and the runs of each do not."""
    steps = partial(figure, key="train/steps")
    alike = all(len(fact("", variant.runs, steps).values) < 2 for variant in report.variants)
    asked = any(varies(report.factors, field) for field in LENGTHS)
    return fact("steps trained", runs, steps, FOLLOWS if alike and asked else "")


def own_seeds(runs: Sequence[Run]) -> set[tuple[Path, str]]:
    """Folders of runs, with each field that is the run's own seed."""
    fields = dict.fromkeys(field for run in runs for field in run.settings if field.endswith(".seed"))
    return {
        (run.path, field) for field in fields for run, own in zip(runs, factors.is_own(runs, field), strict=True) if own
    }


def setting(run: Run, field: str, seeds: Collection[tuple[Path, str]]) -> str | None:
    """A field's value."""
    return factors.OWN if (run.path, field) in seeds else run.settings.get(field)


def option(run: Run, group: str, seeds: Collection[tuple[Path, str]]) -> str | None:
    """The name of an option and those of its fields that bear on figures."""
    fields = ", ".join(
        f"{field.removeprefix(f'{group}.')}={value}"
        for field, value in run.settings.items()
        if field.startswith(f"{group}.") and "._" not in field and factors.counts(field)
        if (run.path, field) not in seeds
    )
    parts = [part for part in (run.settings.get(group, ""), f"({fields})" if fields else "") if part]
    return " ".join(parts) or None


def varies(names: Collection[str], field: str) -> bool:
    """Whether the report is about this field, or one of its group."""
    return any(name == field or name.startswith(f"{field}.") or field.startswith(f"{name}.") for name in names)


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
    return made.commit(run) or UNKNOWN


def machine(run: Run) -> str:
    """What the run was made on."""
    return made.machine(run) or UNKNOWN


def command(run: Run) -> str | None:
    """What would train the run again; None of a run that told nothing of itself."""
    return made.command(run) if run.typed or run.environment else None


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
    """What differs among runs and is no factor: sample sizes, settings, versions, commits, machines."""
    yield from (each for facts in found.values() for each in facts if each.differs)
