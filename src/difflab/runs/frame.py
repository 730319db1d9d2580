"""The frame around every command: composing, refusing, exit codes. Imports nothing heavy."""

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from difflab.errors import ConfigError
from difflab.runs.composition import explained
from difflab.runs.folder import RunFolder
from difflab.runs.names import register_resolvers
from difflab.runs.paths import CONFIGS
from difflab.runs.processes import follow, has_parent, is_child, job_stamp, speaks
from difflab.runs.resume import resumed
from difflab.runs.settings import with_choices
from difflab.runs.store import share_store
from difflab.runs.sweeps import (
    Sweep,
    goes_on,
    one_job,
    output_of,
    requeue,
    resumed_sweep,
    stop_file,
    told_to_end,
    uninterrupted,
)
from difflab.runs.validate import validate

log = logging.getLogger(__name__)
STATES = {0: "done", 1: "failed", 2: "refused", 130: "interrupted", 143: "preempted"}


class Terminated(BaseException):
    """SIGTERM outside of training."""


def refusal(error: BaseException | None) -> ConfigError | None:
    """The ConfigError among the causes of an error, if there is one."""
    while error is not None and not isinstance(error, ConfigError):
        error = error.__cause__
    return error


def signalled(error: BaseException) -> BaseException:
    """The error of a training that a signal has stopped, where one more signal has come while it ended."""
    before: BaseException | None = error
    while before is not None:
        if hasattr(before, "signum"):
            return before
        before = before.__context__ if isinstance(before, Terminated | KeyboardInterrupt) else None
    return error


def first_cause(error: BaseException) -> BaseException:
    """The loss of a worker that reads data: PyTorch tells of it wherever the program is, and others wrap it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RuntimeError) and str(cause).startswith("DataLoader worker"):
            return cause
        cause = cause.__cause__
    return error


def verdict(error: BaseException) -> tuple[int, str]:
    """Exit code and reason of what ended a job."""
    refused = refusal(error)
    if refused is not None:
        return 2, str(refused)
    error = signalled(error)
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, Terminated):
        return 143, "terminated"
    if isinstance(error, SystemExit) and "SUBMITIT_EXECUTOR" in os.environ:  # its handler was told outside of training
        return 143, "preempted"
    if hasattr(error, "signum"):
        return 130 if error.signum == signal.SIGINT else 143, str(error)
    error = first_cause(error)
    return 1, shorten(f"{type(error).__name__}: {error}", 500)


class Frame:
    """One command.

    Args:
        config: name of its YAML.
        task: module whose `main(cfg, folder)` does the work; imported after the first pass of validation. Where it has
            a `summary(results)` too, that is told once, at the end, what `main` has returned each time; and
            `of_sweep(jobs, sweep)` which jobs of a sweep have ended well.
        owns_folder: whether the job writes a run folder of its own.
    """

    def __init__(self, config: str, task: str, owns_folder: bool) -> None:
        self.config, self.task, self.owns_folder = config, task, owns_folder
        self.script = Path(sys.argv[0]).resolve()
        self.codes: list[int] = []
        self.results: list[Any] = []
        self.entered = False
        self.sweep: Sweep | None = None
        self.elsewhere = False

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's workers get."""
        return vars(self) | {"sweep": None, "results": [], "elsewhere": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a worker: before it can run a job, Hydra asks for names of folders."""
        vars(self).update(state)
        register_resolvers()
        share_store()

    @property
    def code(self) -> int:
        """The exit code of the whole command: the job's own, or 1 where one of several did not end well."""
        if self.sweep is not None and self.sweep.jobs:
            return self.sweep.code
        return self.codes[0] if len(self.codes) == 1 else int(any(self.codes))

    def job(self, cfg: DictConfig) -> None:
        """What Hydra calls, once or for each job of a sweep, here or in the workers of a launcher."""
        self.entered = True
        hydra_config = HydraConfig.get()
        sweeping = self.owns_folder and hydra_config.mode == RunMode.MULTIRUN
        if sweeping and stop_file(Path(hydra_config.sweep.dir)).exists():
            return
        folder = RunFolder(Path(hydra_config.runtime.output_dir))
        with ExitStack() as stack:
            stack.enter_context(told_to_end(self.terminate))
            if sweeping:  # the terminal is the sweep's
                output = stack.enter_context(output_of(folder.path))
                stack.enter_context(redirect_stdout(output))
                if self.elsewhere:
                    stack.enter_context(redirect_stderr(output))
            going_on = goes_on(cfg, folder) if sweeping or job_stamp() else []
            if sweeping:
                stack.enter_context(one_job(folder.path, self.script, going_on))
            error = self.attempt(cfg, folder, dict(hydra_config.runtime.choices), sweeping)
        code = 0 if error is None else verdict(error)[0]
        self.codes.append(code)
        if sweeping and self.sweep is not None:
            self.sweep.look()
        asked_to_stop = code >= 128 and not (sweeping and self.elsewhere)
        if isinstance(error, SystemExit) and code == 143:
            raise error
        if asked_to_stop:
            self.summarise()
            sys.exit(code)
        if sweeping:
            requeue(error)

    def attempt(
        self, cfg: DictConfig, folder: RunFolder, choices: dict[str, str], sweeping: bool
    ) -> BaseException | None:
        """One job, its state in its folder; what ended it, where it did not end well."""
        owns = self.owns_folder and not is_child()
        before = folder.read_status() if owns else {}
        begun, failed = time.monotonic(), None
        code, reason = 0, ""
        try:
            if owns:
                folder.take()
                folder.set_status("running")
            validate(cfg, self.config, choices)
            self.results.append(import_module(self.task).main(cfg, folder))
        except BaseException as error:
            failed = error
            code, reason = verdict(error)
        with uninterrupted() as signals:
            if failed is not None:
                self.tell(folder, failed, code, reason)
            if folder.lock.is_locked:
                if code == 2 and before and not sweeping:  # a resume that was refused says nothing about the run
                    folder.write_status(before)
                else:
                    folder.set_status(STATES.get(code, "failed"), reason, code, round(time.monotonic() - begun, 1))
                folder.lock.release()
            if code >= 128:
                signals.clear()  # it ends for one like them
        return failed

    def terminate(self, signum: int, frame: FrameType | None) -> None:
        """SIGTERM, and in a sweep Ctrl-C: jobs in other processes are told, then this one ends."""
        if self.sweep is not None:
            self.sweep.stop(signum)
        raise KeyboardInterrupt if signum == signal.SIGINT else Terminated

    def summarise(self) -> None:
        """Let the task say what came of all that ended well, after the table of a sweep."""
        summary = getattr(sys.modules.get(self.task), "summary", None)
        if summary is not None and self.results:
            summary(self.results)
        if self.sweep is not None and self.sweep.folder is not None:
            done = self.sweep.end()
            if done and self.sweep.view.asks:
                import_module(self.task).of_sweep(done, self.sweep.folder.path)

    def tell(self, folder: RunFolder, error: BaseException, code: int, reason: str) -> None:
        """One line for a refusal or a signal; for a failure the traceback too, in run.log."""
        logged = self.owns_folder and (folder.lock.is_locked or is_child())  # else run.log is another process's
        if code == 1:
            if logged:
                log.info("%s", "".join(traceback.format_exception(error)))  # the terminal shows warnings only
            else:
                traceback.print_exception(error)
            where = f"; traceback in {folder.path / 'run.log'}" if logged else ""
            line = f"error: {reason}{where}"
        else:
            if logged:
                log.info(reason)
            line = f"{'refused: ' if code == 2 else ''}{reason}"
        in_sweep = self.sweep is not None and self.sweep.folder is not None  # which has a line for each job
        if speaks(code, reason) and not in_sweep:
            print(line, file=sys.stderr)


def run(
    config: str, task: str, owns_folder: bool = False, rewrite: Callable[[list[str]], list[str]] | None = None
) -> None:
    """The body of a command-line script; ends the process with the exit code of the contract.

    Args:
        config: name of its YAML in configs/.
        task: module whose `main(cfg, folder)` does the work.
        owns_folder: whether the job writes a run folder of its own.
        rewrite: what the command makes of its own command line before anything else does.
    """
    register_resolvers()
    share_store()
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch asks for large pages: fewer faults, less lost between
    logging.raiseExceptions = False  # where run.log finds no room, that is not what the user is to read
    frame = Frame(config, task, owns_folder)

    def main(cfg: DictConfig) -> None:
        frame.job(cfg)

    main.__module__ = config  # what Hydra calls the command
    full_errors = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # then what Hydra cannot compose is raised, for `explained` to tell
    try:
        command = sys.argv[1:]
        if is_child():
            follow()
        if not owns_folder and any(argument.startswith("hydra/launcher=") for argument in command):
            raise ConfigError(
                "hydra/launcher: allowed with train.py; a grid of a script runs here, one after the other"
            )
        if not has_parent():
            sys.argv[1:] = sorted(command, key=lambda a: a not in ("-m", "--multirun"))  # argparse wants -m first
            sys.argv[1:] = sys.argv[1:] if rewrite is None else rewrite(sys.argv[1:])
            sys.argv[1:] = rewritten(sys.argv[1:]) if owns_folder else with_choices(config, sys.argv[1:])
        if is_child() and not has_parent():
            sys.argv.append("hydra.output_subdir=null")  # the first process writes it
        entry: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config)(main)
        if owns_folder and not is_child():
            frame.sweep = Sweep([Path(sys.argv[0]).name, *command])
            signal.signal(signal.SIGTERM, frame.terminate)
            signal.signal(signal.SIGINT, frame.terminate)
        with frame.sweep.watched() if frame.sweep is not None else nullcontext():
            entry()
        frame.summarise()
    except (KeyboardInterrupt, Terminated) as error:  # before, between and after jobs
        code, reason = verdict(error)
        print(reason, file=sys.stderr)
        if frame.sweep is not None:
            frame.sweep.end()
        sys.exit(code)
    except BrokenPipeError:
        if frame.entered:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads, such as `head`, has seen enough
        sys.exit(1)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError) else explained(error, config)
        if frame.entered or reason is None or full_errors:
            raise
        print(f"refused: {reason}", file=sys.stderr)
        sys.exit(2)
    sys.exit(frame.code)


def rewritten(arguments: list[str]) -> list[str]:
    """The command line of what goes on in the folder of a run or of a sweep."""
    return resumed_sweep(resumed(arguments))
