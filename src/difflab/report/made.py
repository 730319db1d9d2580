"""How figures came about: from how many samples of which sampler and weights, by which versions and commands."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from difflab.report.model import Report, Run
from difflab.report.words import count

COUNTED = (("_images", "image"), ("_samples", "sample"), ("_points", "point"), ("_draws", "draw"))
AVERAGES = {"ema.decay": "EMA of decay", "ema.halflife": "EMA of half-life in images", "ema.lengths": "EMA of length"}


def made(report: Report) -> list[tuple[str, str, int]]:
    """What, how, and in how many of the finished runs; one line for each way that occurs."""
    asked: dict[str, Callable[[Run], str]] = {m.title: figure_by(m.key) for m in report.metrics}
    asked |= {"training": training, "weights": weights, "versions": versions, "commit": commit, "machine": machine}
    done = [run for run in report.runs if run.done]
    found: list[tuple[str, str, int]] = []
    for what, tell in asked.items():
        ways: dict[str, int] = {}
        for run in done:
            how = tell(run)
            ways[how] = ways.get(how, 0) + 1
        found += [(what, how, n) for how, n in ways.items() if how]
    if done:
        found.append(("command of a run", command(done[0]), 1))
    found.append(
        ("this report", f"{report.command}, {report.made}, difflab {report.version}".lstrip(", "), len(report.runs))
    )
    return found


def figure_by(key: str) -> Callable[[Run], str]:
    """How a run has made one figure."""

    def tell(run: Run) -> str:
        if key not in run.figures:
            return ""
        parts = [count(int(run.figures[f"{key}{end}"]), what) for end, what in COUNTED if f"{key}{end}" in run.figures]
        if f"{key}_samples" in run.figures:
            parts.append(sampler(run))
        elif key.endswith("bits_per_dim") and "likelihood" in run.settings:
            parts.append(f"{run.settings['likelihood']} likelihood")
        return ", ".join(part for part in parts if part)

    return tell


def sampler(run: Run) -> str:
    """The sampler that the samples are of, and its length."""
    steps = run.settings.get("sampler.steps")
    calls = run.figures.get("test/network_calls")
    return ", ".join(
        part
        for part in (
            run.settings.get("sampler", ""),
            f"{steps} steps" if steps not in (None, "null", "None") else "",
            f"{calls:g} network calls" if calls is not None else "",
        )
        if part
    )


def training(run: Run) -> str:
    """How long it was trained."""
    steps = run.figures.get("train/steps")
    return "" if steps is None else f"{steps:,.0f} steps"


def weights(run: Run) -> str:
    """The averaged weights that were scored; of several lengths the first."""
    for field, what in AVERAGES.items():
        value = run.settings.get(field)
        if value is not None:
            return f"{what} {value.strip('[]').split(',')[0]}"
    return run.settings.get("ema", "")


def versions(run: Run) -> str:
    """Of Python and packages."""
    packages = section(run.environment, "packages")
    found = {"python": run.environment.get("python"), **packages}
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def commit(run: Run) -> str:
    """Of the code, and whether it was changed since."""
    told = run.environment.get("commit")
    return f"{told}{', with changes' if run.environment.get('modified') else ''}" if told else ""


def machine(run: Run) -> str:
    """System and cores."""
    told = section(run.environment, "machine")
    return ", ".join(f"{value} cores" if name == "cores" else str(value) for name, value in told.items() if value)


def command(run: Run) -> str:
    """What would train a run again."""
    return f"python train.py {shlex.join(run.typed)}".rstrip()


def section(environment: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of environment.json; empty where it is none."""
    found = environment.get(name)
    return dict(found) if isinstance(found, Mapping) else {}
