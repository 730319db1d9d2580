"""A sweep as the process that starts its jobs sees it, whatever runs them: this process, workers, or a cluster."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from threading import Event, Lock, Thread
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from difflab.errors import ConfigError
from difflab.runs.folder import write_json
from difflab.runs.sweeps.job import Job, known_jobs
from difflab.runs.sweeps.view import View

PATIENCE = 120.0  # seconds for running jobs to save when the sweep is stopped
TRIES = 2  # of a job whose process was killed
LOOK = 0.5  # seconds between two looks at the jobs


class Sweep:
    """Plans, watches and records the jobs of one sweep; every launcher that Hydra has runs them.

    What a job has come to is read from its folder, where the job itself writes it, so that nothing depends on the
    process or machine that ran it.

    Args:
        command: what the user typed, for whoever wants to resume.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.folder: Path | None = None
        self.jobs: list[Job] = []
        self.known: dict[frozenset[str], Job] = {}
        self.looking = Lock()

    @property
    def code(self) -> int:
        """The exit code of the sweep: 1 where a job has not ended well."""
        return int(any(job.state != "done" for job in self.jobs))

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
                stop_file(self.folder).unlink(missing_ok=True)
                self.lock.release()

    def begin(self, config: DictConfig) -> None:
        """Take the sweep's folder.

        Raises:
            ConfigError: where another process runs this sweep.
        """
        self.folder = Path(config.hydra.sweep.dir).absolute()
        (self.folder / ".hydra").mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.folder / ".hydra" / "lock", timeout=0)
        try:
            self.lock.acquire()
        except Timeout as error:
            raise ConfigError(f"sweep.resume: another process runs {self.folder}; allowed is one at a time") from error
        stop_file(self.folder).unlink(missing_ok=True)
        if "optuna" in sys.modules:
            sys.modules["optuna"].logging.set_verbosity(logging.WARNING)
        self.known = known_jobs(self.folder)
        self.objective = config.sweep.objective
        self.view = View(config, self.folder)

    def place(self, overrides: Sequence[str]) -> Job:
        """The job of these overrides: the one that is there, or a new one with the next number."""
        assert self.folder is not None
        job = self.known.get(frozenset(overrides))
        if job is None:
            taken = [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]
            number = max([-1, *taken, *(job.number for job in self.jobs)]) + 1
            job = Job(self.folder / str(number), tuple(overrides))
        job.refresh()
        self.jobs.append(job)
        return job

    def all(self) -> list[Job]:
        """The jobs in its folder, also those that another command has added."""
        jobs = {job.path: job for job in [*self.known.values(), *self.jobs]}
        return sorted(jobs.values(), key=lambda job: job.number)

    def launch(self, launcher: Launcher, batch: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Run those of a batch that have not ended well yet; what the sweeper is told of each is its objective."""
        jobs = [self.place(overrides) for overrides in batch]
        self.view.plan(jobs)
        waiting = [job for job in jobs if job.state != "done"]
        self.view.total += len(waiting)
        for job in waiting:
            job.told, job.before = False, job.status
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
                    self.settle(waiting, " ".join(str(error).split())[:300])
                    waiting = []
                else:
                    waiting = []
        self.look(over=True)
        return [returned(self.result(job)) for job in jobs]

    def result(self, job: Job) -> float | None:
        """The objective of a job; None where it has not ended well or has no such figure, which a search is told of."""
        figures = job.figures()
        if figures and self.view.trials and self.objective not in figures:
            known = ", ".join(figures)
            self.view.say(f"sweep.objective: {self.objective} is no figure of job {job.number}; allowed are {known}")
        return figures.get(self.objective)

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
            ended = [job for job in ended if over or job.state != "preempted"]
            for job in ended:
                job.told = True
                self.view.line(job, self.objective)
            if ended or not (self.folder / "sweep.json").exists():
                record = {"command": self.command, "jobs": [job.record() for job in self.all()]}
                write_json(self.folder / "sweep.json", record)

    def stop(self, signum: int) -> None:
        """Pass a signal on to the jobs that run in other processes of this machine, and wait until they have saved."""
        if self.folder is None:
            return
        stop_file(self.folder).touch()
        mine = [job for job in self.jobs if job.refresh().state == "running" and job.host == gethostname()]
        # whoever wrote the status of a job that nobody holds may have been elsewhere, and its pid is another's here
        mine = [job for job in mine if job.pid not in (None, os.getpid()) and job.is_held()]
        for job in mine:
            told_by_terminal = signum == signal.SIGINT and sys.stdin.isatty() and same_group(job.pid)
            if not told_by_terminal:
                signal_process(job.pid, signum)
        if mine:
            print(f"\nwaiting for {len(mine)} jobs to save", file=sys.stderr, flush=True)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and any(job.refresh().state == "running" and job.is_held() for job in mine):
            time.sleep(LOOK)

    def end(self) -> list[Path]:
        """Show the table of all jobs; the folders of those that ended well."""
        if self.folder is not None and self.jobs:
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


def stop_file(sweep: Path) -> Path:
    """While it is there, no further job of the sweep begins, in whatever process."""
    return sweep / ".hydra" / "stop"


def returned(objective: float | None) -> JobReturn:
    """What Hydra's sweepers take for the result of a job."""
    result = JobReturn()
    result.status, result.return_value = JobStatus.COMPLETED, objective
    return result


def same_group(pid: int | None) -> bool:
    """Whether a process gets what the terminal sends to this one."""
    try:
        return pid is not None and os.getpgid(pid) == os.getpgrp()
    except ProcessLookupError:
        return False


def signal_process(pid: int | None, signum: int) -> None:
    """Send a signal to a process that may have ended."""
    if pid is not None:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return
