"""Runs as their folders tell; what is broken or of an earlier version is said, and read as far as it goes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difflab.progress import Progress
from difflab.report.contents import Contents, Unreadable, finite
from difflab.report.model import Run
from difflab.report.names import clean, line, unique
from difflab.report.records import curves, evaluations, pictures, terms
from difflab.report.settings import listed, overridden, settings_of
from difflab.report.sources import Place, places
from difflab.report.state import State, state_of
from difflab.runs.trust import quoted


def read(sources: Sequence[Path | str]) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """The runs of these folders, and a line for each file or folder that could not be used.

    Nothing of a run folder is instantiated, unpickled or resolved.

    Args:
        sources: run folders, sweep folders, folders of these, and patterns of their paths.

    Raises:
        ConfigError: for a source that names nothing.
    """
    found, problems = places([sources] if isinstance(sources, str | Path) else sources)
    runs = []
    with Progress("reading runs", len(found)) as progress:
        for place, name in zip(found, names(found), strict=True):
            reader = Reader(place, name)
            runs.append(reader.run())
            problems += reader.problems
            progress.advance()
    return tuple(runs), tuple(problems)


def names(found: Sequence[Place]) -> list[str]:
    """What runs are called in a report: their places below the folder that has them all."""
    if not found:
        return []
    absolute = [Path(os.path.normpath(place.path.absolute())) for place in found]
    top = os.path.commonpath([path.parent for path in absolute])
    return unique(line(os.path.relpath(path, top)) for path in absolute)


class Reader:
    """One run folder.

    Args:
        place: where it is.
        name: of the run in the report.
    """

    def __init__(self, place: Place, name: str) -> None:
        self.place, self.name = place, name
        self.files = Contents(place.path)
        self.problems: list[str] = []

    def run(self) -> Run:
        """All that can be read of it."""
        if self.place.job and self.leads_elsewhere():
            return Run(self.place.path, self.name, "unreadable", "its folder leads out of the sweep")
        state = state_of(self.files, self.place.job)
        if state.problem:
            self.say(state.problem)
        environment = self.environment()
        typed = self.typed(environment)
        settings, state = self.settings(typed, state)
        figures: dict[str, float] = {}
        stretches: tuple[tuple[int, int, float], ...] = ()
        if state.state == "done":
            figures, state = self.figures(state)
            stretches = terms(self.files, self.say)
        return Run(
            path=self.place.path,
            name=self.name,
            state=state.state,
            reason=state.reason,
            seed=seed_of(settings, figures),
            settings=settings,
            typed=typed,
            figures=figures,
            curves=curves(self.files, self.say),
            terms=stretches,
            evaluations=evaluations(self.files, self.say),
            environment=environment,
            pictures=pictures(self.files, self.say),
            seconds=state.seconds,
        )

    def leads_elsewhere(self) -> bool:
        """Whether the folder of this job is a link out of its sweep."""
        return not Path(self.files.top).is_relative_to(os.path.realpath(self.place.path.parent))

    def say(self, problem: str) -> None:
        """A line for the report."""
        self.problems.append(f"{self.name}: {problem}")

    def environment(self) -> dict[str, Any]:
        """environment.json."""
        try:
            return self.files.json("environment.json") or {}
        except Unreadable as error:
            self.say(str(error))
            return {}

    def typed(self, environment: dict[str, Any]) -> tuple[str, ...]:
        """The overrides: of the environment; of Hydra, for a run that was refused; of the sweep, before it begins."""
        said = environment.get("overrides")
        if isinstance(said, list) and all(isinstance(item, str) for item in said):
            return tuple(said)
        try:
            if self.files.inside(".hydra/overrides.yaml") is not None:
                return tuple(listed(self.files, ".hydra/overrides.yaml"))
        except Unreadable as error:
            self.say(str(error))
        return tuple(map(clean, self.place.typed))

    def settings(self, typed: Sequence[str], state: State) -> tuple[dict[str, str], State]:
        """The settings; a run that has ended well without any that can be read is of no use."""
        found = overridden(typed)
        try:
            found = settings_of(self.files, typed) or found
            if state.state == "done" and self.files.inside("config.yaml") is None:
                raise Unreadable("there is no config.yaml")
        except Unreadable as error:
            if state.state == "done":
                state = state._replace(state="unreadable", reason=str(error))
            elif state.state != "unreadable":
                self.say(str(error))
        return found, state

    def figures(self, state: State) -> tuple[dict[str, float], State]:
        """metrics.json; a run without it has not ended well, whatever it says."""
        try:
            plain = self.files.json("metrics.json")
        except Unreadable as error:
            return {}, state._replace(state="unreadable", reason=str(error))
        if plain is None:
            return {}, state._replace(state="unreadable", reason="there is no metrics.json")
        good = {k: v for k, v in plain.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        if len(good) < len(plain):
            wrong = [key for key in plain if key not in good]
            self.say(f"metrics.json: no finite numbers, and left out: {quoted(wrong)}")
        if not good:
            state = state._replace(state="unreadable", reason="metrics.json holds no figure")
        return good, state


def seed_of(settings: dict[str, str], figures: dict[str, float]) -> int | None:
    """The seed of a run, by its config or else by its figures."""
    seed = finite(settings.get("seed", "")) if "seed" in settings else figures.get("seed")
    return int(seed) if seed is not None and seed == int(seed) else None
