"""A sweep as the process that starts its jobs sees it, whatever runs them: this process, workers, or a cluster."""

import logging
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from difflab.errors import ConfigError
from difflab.runs.processes import tasks
from difflab.runs.sweeps.folder import SweepFolder, identity
from difflab.runs.sweeps.job import Job
from difflab.runs.sweeps.stopping import LOOK, pass_on
from difflab.runs.sweeps.view import View

TRIES = 2  # of a job whose process was killed
SILENCE = 60.0  # seconds without news of jobs that a launcher has given up, until they count as not begun


class Sweep:
    """Plans, watches and records the jobs of one sweep; every launcher that Hydra has runs them.

    What a job has come to is read from its folder, where the job itself writes it, so that nothing depends on the
    process or machine that ran it.

    Args:
        command: what the user typed, for whoever wants to resume.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.folder: SweepFolder | None = None
        self.jobs: list[Job] = []
        self.known: list[Job] = []
        self.looking = Lock()
        self.stopping = False
        self.recorded = True

    @property
    def code(self) -> int:
        """The exit code of the sweep: 1 where a job has not ended well, or where sweep.json does not say so."""
        return int(not self.recorded or any(job.state != "done" for job in self.jobs))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, jobs that Hydra's sweepers launch go through here."""
        plugins: Any = Plugins.instance()

        def observed(hydra_context: Any, task_function: Any, config: DictConfig) -> Launcher:
            launcher = type(plugins).instantiate_launcher(plugins, hydra_context, task_function, config)
            self.begin(config)
            return Observed(launcher, self)

        plugins.instantiate_launcher = observed
        try:
            yield
        except ValueError:  # Optuna's, which looks for the best of no trial
            if not self.jobs or any(job.state == "done" for job in self.jobs):
                raise
        finally:
            del plugins.instantiate_launcher
            if self.folder is not None:
                self.look(over=True)
                self.folder.lock.release()

    def begin(self, config: DictConfig) -> None:
        """Take the sweep's folder.

        Raises:
            ConfigError: where another process runs this sweep, or where this command is no sweep's.
        """
        if tasks():
            raise ConfigError("-m: several tasks of srun would each sweep; allowed is hydra/launcher=submitit_slurm")
        if config.resume is not None:
            raise ConfigError(f"resume: {config.resume} in a sweep; allowed is one run at a time, or sweep.resume")
        folder = SweepFolder(Path(config.hydra.sweep.dir))
        folder.take()
        self.folder = folder
        folder.stop.unlink(missing_ok=True)
        if "optuna" in sys.modules:
            sys.modules["optuna"].logging.set_verbosity(logging.WARNING)
        self.view = View(config, folder.path)
        before = folder.read()
        self.record: dict[str, Any] = {"command": before.get("command", self.command)}
        if before:
            self.record["resumed"] = [*before.get("resumed", []), self.command]
        if self.view.trials is not None:
            self.record |= {"objective": self.view.objective, "direction": self.view.direction}
        self.known = folder.jobs()

    def place(self, overrides: Sequence[str]) -> Job:
        """The job of these overrides: one that is there, or a new one with the next number."""
        assert self.folder is not None
        key, taken = identity(overrides, self.view.fields), [job.path for job in self.jobs]
        for job in self.known:
            if identity(job.overrides, self.view.fields) == key and job.path not in taken:
                job.overrides = tuple(overrides)
                break
        else:
            job = Job(self.folder.path / str(self.folder.next_number(self.jobs)), tuple(overrides))
        self.jobs.append(job.refresh())
        return job

    def all(self) -> list[Job]:
        """The jobs in its folder, also those that another command has added."""
        jobs = {job.path: job for job in [*self.known, *self.jobs]}
        return sorted(jobs.values(), key=lambda job: job.number)

    def launch(self, launcher: Launcher, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Run those of a batch that have not ended well yet; what the sweeper is told of each is its objective."""
        jobs = [self.place(overrides) for overrides in batch]
        self.view.plan(jobs, len(self.all()) - len(self.jobs))
        waiting = [job for job in jobs if job.state != "done"]
        self.view.total -= len(jobs) - len(waiting)
        for job in waiting:
            job.told, job.before = False, job.status
        self.look()
        with self.looks():
            while waiting:
                try:
                    launcher.launch([job.arguments() for job in waiting], waiting[0].number)
                except (HydraException, OmegaConfBaseException, ConfigError):
                    raise  # nothing was started: the whole sweep is refused
                except BrokenExecutor:  # one worker was killed, and the pool ends all others with it
                    lost = self.settle(waiting, "its process was killed")
                    again = [job for job in lost if job.killed < TRIES]
                    waiting = again + [job for job in waiting if job.state == "missing"] if lost else []
                    for job in again:
                        job.before = job.status
                except Exception as error:
                    self.given_up(waiting, error)
                    waiting = []
                else:
                    waiting = []
        self.look(over=True)
        return [returned(self.result(job)) for job in jobs]

    def result(self, job: Job) -> float | None:
        """The objective of a job; None where it has not ended well or has no such figure, which a search is told of."""
        figures, objective = job.figures(), self.view.objective
        if figures and self.view.trials and objective not in figures:
            known = ", ".join(figures)
            self.view.say(f"sweep.objective: {objective} is no figure of job {job.number}; allowed are {known}")
        return figures.get(objective)

    def settle(self, jobs: Sequence[Job], reason: str) -> list[Job]:
        """Wait for those that still run; the others that had begun have lost their process, and are returned."""
        lost = []
        for job in jobs:
            while job.refresh().state == "running" and job.is_held():
                time.sleep(LOOK)
            if job.state == "running":
                with self.looking:
                    job.lose(reason)
                lost.append(job)
        return lost

    def given_up(self, jobs: Sequence[Job], error: Exception) -> None:
        """A launcher has failed: jobs that it has started go on without it, and are waited for while there is news."""
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        assert self.folder is not None
        (self.folder.path / "launcher.log").write_text("".join(traceback.format_exception(error)))
        print(f"error: {reason}; traceback in {self.folder.path / 'launcher.log'}", file=sys.stderr, flush=True)
        before: list[str] = []
        since = time.monotonic()
        while time.monotonic() < since + SILENCE:
            states = [job.refresh().state for job in jobs]
            if set(states) == {"missing"} or all(job.has_ended for job in jobs):
                break
            if states != before or any(job.state == "running" and job.is_held() for job in jobs):
                before, since = states, time.monotonic()
            time.sleep(LOOK)
        self.settle(jobs, reason)
        for job in jobs:
            job.note = reason if job.state == "missing" else ""

    @contextmanager
    def looks(self) -> Iterator[None]:
        """A look every moment, from a thread: the process may be waiting for a launcher."""
        over = Event()

        def look_on() -> None:
            while not over.wait(LOOK):
                self.look()

        thread = Thread(target=look_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self, over: bool = False) -> None:
        """A line for every job that has ended since the last look; sweep.json follows.

        Args:
            over: whether no launcher will begin a job again, as submitit does with those that were preempted.
        """
        assert self.folder is not None
        with self.looking:
            ended = [job for job in self.jobs if not job.told and job.refresh().has_ended]
            for job in [job for job in ended if over or job.state != "preempted"]:
                job.told = True
                self.view.line(job)
            jobs = [job.record() for job in self.all()]
            self.recorded = self.folder.write({**self.record, "jobs": jobs})

    def stop(self, signum: int) -> None:
        """Begin no further job, and let those that run in other processes save; once."""
        if self.folder is not None and not self.stopping:
            self.stopping = True
            self.folder.stop.touch()
            pass_on(signum, self.jobs)

    def end(self) -> list[Path]:
        """Show the table of all jobs; the folders of those that ended well."""
        if self.folder is None or not self.all():
            return []
        self.look(over=True)
        self.view.table(self.all())
        return [job.path for job in self.all() if job.state == "done"]


class Observed(Launcher):
    """A launcher whose jobs a `Sweep` plans and watches.

    Args:
        launcher: of Hydra or of a plug-in.
        sweep: that its jobs belong to.
    """

    def __init__(self, launcher: Launcher, sweep: Sweep) -> None:
        self.launcher, self.sweep = launcher, sweep

    def setup(self, **_: Any) -> None:
        """The launcher has been set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self.sweep.launch(self.launcher, job_overrides)


def returned(objective: float | None) -> JobReturn:
    """What Hydra's sweepers take for the result of a job."""
    result = JobReturn()
    result.status, result.return_value = JobStatus.COMPLETED, objective
    return result
