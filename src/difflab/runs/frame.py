"""The frame around every command: composing, refusing, exit codes. Imports nothing heavy."""

import logging
import os
import secrets
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import shorten
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.runs.composition import explained
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.paths import CONFIGS
from difflab.runs.processes import is_child, one_job
from difflab.runs.resume import resumed
from difflab.runs.settings import with_choices
from difflab.runs.validate import validate

log = logging.getLogger(__name__)
STATES = {0: "done", 1: "failed", 2: "refused", 130: "interrupted", 143: "preempted"}


class Terminated(BaseException):
    """SIGTERM outside of training."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def refusal(error: BaseException | None) -> ConfigError | None:
    """The ConfigError among the causes of an error, if there is one."""
    while error is not None and not isinstance(error, ConfigError):
        error = error.__cause__
    return error


def verdict(error: BaseException) -> tuple[int, str]:
    """Exit code and reason of what ended a job."""
    refused = refusal(error)
    if refused is not None:
        return 2, str(refused)
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, Terminated):
        return 143, "terminated"
    if hasattr(error, "signum"):
        return 128 + error.signum, str(error)
    return 1, shorten(f"{type(error).__name__}: {error}", 500)


class Frame:
    """One command.

    Args:
        config: name of its YAML.
        task: module whose `main(cfg, folder)` does the work; imported after the first pass of validation. Where it has
            a `summary(results)` too, that is told once, at the end, what `main` has returned for each job.
        owns_folder: whether the job writes a run folder of its own.
    """

    def __init__(self, config: str, task: str, owns_folder: bool) -> None:
        self.config, self.task, self.owns_folder = config, task, owns_folder
        self.codes: list[int] = []
        self.entered = self.sweeping = False
        self.jobs: list[dict[str, Any]] = []
        self.results: list[Any] = []

    @property
    def code(self) -> int:
        """The exit code of the whole command: the job's own, or 1 where one of several did not end well."""
        if len(self.codes) == 1 and not self.sweeping:
            return self.codes[0]
        return 1 if any(self.codes) else 0

    def job(self, cfg: DictConfig) -> None:
        """What Hydra calls, once or for each job of a sweep."""
        self.entered = True
        hydra_config = HydraConfig.get()
        self.sweeping = self.owns_folder and hydra_config.mode == RunMode.MULTIRUN
        folder = RunFolder(Path(hydra_config.runtime.output_dir))
        owns = self.owns_folder and not is_child()
        before = folder.read_status() if owns else {}
        signal.signal(signal.SIGTERM, _terminate)
        code, reason = 0, ""
        try:
            if owns:
                folder.take()
                folder.set_status("running")
            validate(cfg, self.config, dict(hydra_config.runtime.choices))
            with one_job(folder.path) if self.sweeping else nullcontext():
                self.results.append(import_module(self.task).main(cfg, folder))
        except BaseException as error:
            code, reason = verdict(error)
            self.tell(folder, error, code, reason)
        if folder.lock.is_locked:
            if code == 2 and before:  # a resume that was refused says nothing about the run
                folder.write_status(before)
            else:
                folder.set_status(STATES.get(code, "failed"), reason, code)
            folder.lock.release()
        self.codes.append(code)
        if self.sweeping:
            self.record(hydra_config, code, reason)
        if code >= 128:
            self.summarise()
            sys.exit(code)

    def summarise(self) -> None:
        """Let the task say what came of the jobs that ended well."""
        summary = getattr(sys.modules.get(self.task), "summary", None)
        if summary is not None and self.results:
            summary(self.results)

    def tell(self, folder: RunFolder, error: BaseException, code: int, reason: str) -> None:
        """One line for a refusal or a signal; for a failure the traceback too, in run.log."""
        logged = self.owns_folder and (folder.lock.is_locked or is_child())  # else run.log is another process's
        if code == 1:
            if logged:
                log.info("%s", "".join(traceback.format_exception(error)))  # the terminal shows warnings only
            else:
                traceback.print_exception(error)
            where = f"; traceback in {folder.path / 'run.log'}" if logged else ""
            print(f"error: {reason}{where}", file=sys.stderr)
        elif not is_child():
            if logged:
                log.info(reason)
            print(f"{'refused: ' if code == 2 else ''}{reason}", file=sys.stderr)

    def record(self, hydra_config: Any, code: int, reason: str) -> None:
        """sweep.json: every job with its state and reason; a failed one does not stop the others."""
        number, overrides = hydra_config.job.num, list(hydra_config.overrides.task)
        state = STATES.get(code, "failed")
        self.jobs.append({"job": number, "overrides": overrides, "state": state, "reason": reason})
        sweep = Path(hydra_config.sweep.dir)
        sweep.mkdir(parents=True, exist_ok=True)
        write_json(sweep / "sweep.json", {"jobs": self.jobs})
        print(f"job {number} {state}: {' '.join(overrides)} {reason}".rstrip(), flush=True)


@cache
def suffix() -> str:
    """Four characters that keep two runs of the same second apart; the same all through a process."""
    return secrets.token_hex(2)


def choice(group: str, *, _root_: Any) -> str:
    """The chosen option of a group: while Hydra names a sweep's folder from the config, later from Hydra itself."""
    whole = _root_ if "hydra" in _root_ else None
    choices = OmegaConf.select(whole, "hydra.runtime.choices") if whole is not None else None
    return (choices or HydraConfig.get().runtime.choices)[group]


def run(config: str, task: str, owns_folder: bool = False) -> None:
    """The body of a command-line script; ends the process with the exit code of the contract.

    Args:
        config: name of its YAML in configs/.
        task: module whose `main(cfg, folder)` does the work.
        owns_folder: whether the job writes a run folder of its own.
    """
    OmegaConf.register_new_resolver("suffix", suffix, replace=True)
    OmegaConf.register_new_resolver("choice", choice, replace=True)
    frame = Frame(config, task, owns_folder)

    def main(cfg: DictConfig) -> None:
        frame.job(cfg)

    main.__module__ = config  # what Hydra calls the command
    full_errors = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # then what Hydra cannot compose is raised, for `explained` to tell
    try:
        if not is_child():
            sys.argv[1:] = sorted(sys.argv[1:], key=lambda a: a not in ("-m", "--multirun"))  # argparse wants -m first
            sys.argv[1:] = resumed(sys.argv[1:]) if owns_folder else with_choices(config, sys.argv[1:])
        entry: Callable[[], Any] = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config)(main)
        entry()
        frame.summarise()
    except (KeyboardInterrupt, Terminated) as error:  # before, between and after jobs
        code, reason = verdict(error)
        print(reason, file=sys.stderr)
        sys.exit(code)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError) else explained(error, config)
        if frame.entered or reason is None or full_errors:
            raise
        print(f"refused: {reason}", file=sys.stderr)
        sys.exit(2)
    sys.exit(frame.code)
