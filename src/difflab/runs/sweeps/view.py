"""What a sweep shows: its plan, a line for each job that has ended, and the table at the end."""

import sys
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from textwrap import shorten

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from difflab.runs.resume import key_of
from difflab.runs.sweeps.job import Job

FIGURES = ("test/bits_per_dim", "test/fid", "test/fd_*", "test/energy_distance", "val/loss", "train/loss")
BESIDE = ("_stderr", "_floor", "_samples", "_infinity")  # ends of keys that say something of another figure


class View:
    """What the user reads of a sweep.

    Args:
        config: of the sweep, with Hydra's own.
        folder: of the sweep.
    """

    def __init__(self, config: DictConfig, folder: Path) -> None:
        self.folder = folder
        self.objective, self.direction = config.sweep.objective, config.sweep.direction
        params = OmegaConf.select(config, "hydra.sweeper.params") or {}
        typed = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
        swept = [o for o in OverridesParser.create().parse_overrides(list(typed)) if o.is_sweep_override()]
        self.varies = {key_of(o.get_key_element()): str(o.input_line).split("=", 1)[1] for o in swept}
        self.fields = list(self.varies)
        grid = {o.get_key_element(): len(list(o.sweep_string_iterator())) for o in swept if o.is_discrete_sweep()}
        self.asks = "study" in self.varies or config.hydra.runtime.choices.study != "none"
        self.trials = OmegaConf.select(config, "hydra.sweeper.n_trials")
        self.out = sys.stdout  # jobs in this process have another
        self.total = prod(grid.values()) if self.trials is None else self.trials
        self.begun, self.ended, self.planned = time.monotonic(), 0, False

    def say(self, text: str = "") -> None:
        """A line of the sweep's own."""
        print(text, file=self.out, flush=True)

    def plan(self, jobs: Sequence[Job], others: int) -> None:
        """How many jobs, what varies among them, and, where some were there before, what is left to do.

        Args:
            jobs: of this command.
            others: how many of another one are in the folder.
        """
        if self.planned:
            return
        self.planned = True
        what = "job" if self.trials is None else "trial"
        self.say(f"sweep: {self.total} {what}{'s' * (self.total != 1)} in {self.folder}")
        width = max(map(len, self.varies), default=0)
        for key, values in self.varies.items():
            self.say(f"  {key:{width}}  {values}")
        done = sum(job.state == "done" for job in jobs)
        missing = sum(job.state == "missing" for job in jobs)
        if missing < len(jobs):
            self.say(f"  {done} done before, {len(jobs) - done - missing} to go on with, {missing} to begin")
        if others:
            self.say(f"  {others} other{'s' * (others != 1)} in this folder, of another command, stay as they are")
        self.say()

    def line(self, job: Job) -> None:
        """What became of a job, and how long the others will take."""
        from difflab.progress import clock

        self.ended += 1
        spent, more = time.monotonic() - self.begun, self.total - self.ended
        left = f", about {clock(spent / self.ended * more)} left" if more > 0 else ""
        took = "" if job.seconds is None else f" in {clock(job.seconds)}"
        figures = job.figures()
        shown = [f"{key} {cell(figures, key)}" for key in columns([figures], self.objective)]
        what = " ".join(self.settings(job))
        tail = "  ".join([what, *shown] if job.state == "done" else [what, job.reason])
        self.say(f"job {job.number} {job.state}{took} ({self.ended} of {self.total}{left}): {tail}".rstrip())

    def settings(self, job: Job) -> list[str]:
        """What distinguishes a job from the others of its sweep."""
        return [o for o in job.overrides if key_of(o) in self.varies]

    def table(self, jobs: Sequence[Job]) -> None:
        """Every job: what varies, how it ended, its figures; the best by the objective is marked."""
        from rich.console import Console
        from rich.table import Table

        from difflab.progress import clock

        table = Table()
        figures = {job.number: job.figures() for job in jobs}
        shown = columns(list(figures.values()), self.objective)
        for heading in ("job", *self.varies, "state", "time", *shown):
            table.add_column(heading, overflow="fold")
        for job in jobs:
            values = {key_of(o): o.split("=", 1)[1] for o in self.settings(job)}
            state = job.state if job.state == "done" else f"{job.state}: {first_clause(job.reason)}"
            took = "" if job.seconds is None else clock(job.seconds)
            cells = [cell(figures[job.number], key) for key in shown]
            table.add_row(str(job.number), *(values.get(key, "") for key in self.varies), state, took, *cells)
        Console(file=self.out, width=None if self.out.isatty() else 160).print(table, markup=False)
        values = {n: found[self.objective] for n, found in figures.items() if self.objective in found}
        if self.trials is not None and values:
            best = (min if self.direction == "minimize" else max)(values, key=values.__getitem__)
            chosen = " ".join(self.settings(next(job for job in jobs if job.number == best)))
            self.say(f"best {self.objective}: {values[best]:.4g}, job {best}: {chosen}")
        self.say(f"sweep folder: {self.folder}")
        if any(self.folder.glob("*/wandb/offline-run-*")):
            self.say(f"W&B: kept offline; later: wandb sync {self.folder}/*/wandb")


def first_clause(reason: str) -> str:
    """What a table has room for; sweep.json has all of it."""
    return shorten(reason.split("; ")[0], 160, placeholder=" ...")


def columns(found: Sequence[dict[str, float]], objective: str) -> list[str]:
    """The figures that are shown: the objective, and the best known of the others that are there; three at most."""
    keys = [key for figures in found for key in figures if not key.endswith(BESIDE)]
    chosen = [key for key in dict.fromkeys(keys) if key == objective]
    for name in FIGURES:
        begin, star, _ = name.partition("*")
        matching = [key for key in dict.fromkeys(keys) if (key.startswith(begin) if star else key == name)]
        chosen += [key for key in matching[:1] if key not in chosen]
    return chosen[:3]


def cell(figures: dict[str, float], key: str) -> str:
    """A figure with its standard error."""
    if key not in figures:
        return ""
    error = figures.get(f"{key}_stderr")
    return f"{figures[key]:.4g}" + ("" if error is None else f" ± {error:.2g}")
