"""Lightning's launcher of processes, with an eye on them: where one has ended, the whole job ends, and says why."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import TimeoutExpired
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from difflab.errors import ConfigError
from difflab.runs import lifeline
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.frame import verdict
from difflab.runs.lifeline import WORDS, Line, ProcessEnded, ended, exited, heard
from difflab.runs.processes import PARENT, cores

WAKE = signal.SIGURG  # the watcher's to its own main thread; nobody else sends it, and unhandled it does nothing
SHARED = 3.0  # seconds in which an end that all processes come to reaches this one too
STUCK = 10.0  # seconds after which this process is waiting for one that has ended, and cannot be woken
FAREWELL = 60.0  # seconds for processes that have done the same work as this one


class Launcher(_SubprocessScriptLauncher):
    """Starts the other processes of this machine, meets those of others, and watches all of them until `leave`.

    Lightning's own kills every process, this one too, when one of them has failed: nobody would be told why, and a
    sweep would end with its job.

    Args:
        trainer: whose launcher this becomes.
        folder: whose status tells of the job.
    """

    def __init__(self, trainer: Trainer, folder: RunFolder) -> None:
        before = trainer.strategy.launcher
        assert isinstance(before, _SubprocessScriptLauncher)
        super().__init__(before.cluster_environment, before.num_processes, before.num_nodes)
        self.trainer, self.folder = trainer, folder
        self.rank, self.size = trainer.global_rank, trainer.world_size
        self.lines: dict[int, Line] = {}
        self.lost: ProcessEnded | None = None
        self.noticed, self.left = threading.Event(), threading.Event()
        self.leaving = False
        self.watching: threading.Thread | None = None

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Start, meet, and call the function.

        Raises:
            ProcessEnded: also in the midst of the function, from then on until `leave`.
        """
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if "OMP_NUM_THREADS" not in os.environ:
            os.environ["OMP_NUM_THREADS"] = str(cores(self.num_processes))
            torch.set_num_threads(cores(self.num_processes))
        if not environment.creates_processes_externally:
            os.environ[PARENT] = f"{os.getpid()} {self.rank}"
            try:
                self._call_children_scripts()
            finally:
                del os.environ[PARENT]
        if self.size > 1:
            self.meet()
            signal.signal(WAKE, self.wake)
            self.watching = threading.Thread(target=self.watch, name="watching the other processes", daemon=True)
            self.watching.start()
        return function(*args, **kwargs)

    def meet(self) -> None:
        """Have a line to the first process, which has one to everybody; torchrun watches its processes itself."""
        environment = self.cluster_environment
        if isinstance(environment, TorchElasticEnvironment):
            return
        if self.rank == 0:
            self.lines = lifeline.gather(environment.main_port, self.size, self.missing)
            return
        line = lifeline.join(environment.main_address, environment.main_port, self.rank, self.size)
        self.lines = {0: line}
        lifeline.own = line

    def missing(self) -> ProcessEnded | None:
        """The end of a process that this one has started, where one has not ended well."""
        for rank, child in enumerate(self.procs, self.rank + 1):
            code = child.poll()
            if code:
                return exited(rank, self.size, code)
        return None

    def said(self) -> ProcessEnded | None:
        """The end of a process that has told of it, or whose line is broken; whoever is done is not watched further."""
        for rank, line in list(self.lines.items()):
            if not heard(line):
                continue
            words = line.listen()
            if words is None:
                return ended(rank, self.size, {})
            for word in words:
                if word.get("code"):
                    return ended(rank, self.size, word)
                if word.get("code") == 0:
                    del self.lines[rank]
        return None

    def watch(self) -> None:
        """The thread: looks until there is an end, then ends the main thread, or the process where that is stuck."""
        ends: list[ProcessEnded | None] = []
        while not any(ends):
            if self.left.wait(0.2):
                return
            ends = [self.said(), self.missing()]
        self.left.wait(1)  # a broken line comes first, then the exit code, which knows more; words know most
        ends += [self.said(), self.missing()]
        self.lost = max((end for end in ends if end is not None), key=lambda end: end.known)
        self.noticed.set()
        if self.lost.known == WORDS:
            self.left.wait(SHARED)
        if self.left.is_set():
            return
        for child in self.procs:
            child.kill()
        signal.pthread_kill(threading.main_thread().ident or 0, WAKE)
        if not self.left.wait(STUCK):
            self.end_at_once()

    def wake(self, signum: int, frame: FrameType | None) -> None:
        """In the main thread: here it ends, unless it is ending already."""
        if self.lost is not None and not self.leaving and not self.trainer.interrupted:
            raise self.lost

    def end_at_once(self) -> None:
        """For a main thread that waits in a library for a process that is not there."""
        if self.rank == 0:
            write_json(self.folder.status, {"state": "failed", "reason": f"{self.lost}", "exit": 1})
            print(f"error: {self.lost}", file=sys.stderr, flush=True)
        os._exit(1)

    def cause(self, error: BaseException) -> BaseException:
        """Why the job ends, where it does with this error: that of another process, where it is what followed here."""
        self.leaving = True
        own = isinstance(error, ConfigError | KeyboardInterrupt) or hasattr(error, "signum")
        if own or self.size == 1 or not self.noticed.wait(3) or self.lost is None:
            return error
        return error if str(error) in str(self.lost) else self.lost

    def farewells(self) -> ProcessEnded | None:
        """Hear from all the others that they are done too, or that one is not."""
        until = time.monotonic() + FAREWELL
        while self.lines and time.monotonic() < until:
            gone = self.said()
            if gone is not None:
                return gone
            time.sleep(0.02)
        return None

    def leave(self, failed: bool) -> None:
        """End with all the others: wait for those that this process has started, or kill them where it has failed.

        Raises:
            ProcessEnded: where all went well here, and not there.
        """
        self.leaving = True
        self.left.set()
        if self.watching is not None:
            self.watching.join()  # it listens to the lines
        error = sys.exception()
        code, reason = verdict(error) if failed and error is not None else (0, "")
        for line in self.lines.values() if not failed or self.rank == 0 else []:
            line.say(code=code, reason=reason)
        gone = self.farewells() if self.rank == 0 and not failed else None
        for line in self.lines.values() if not failed or self.rank == 0 else []:
            line.close()
        for child in self.procs:
            if failed:
                child.kill()
            try:
                child.wait(FAREWELL)
            except TimeoutExpired:
                child.kill()
                child.wait()
        gone = self.missing() or gone
        self.procs.clear()
        if gone is not None and not failed:
            raise gone


@contextmanager
def other_processes(trainer: Trainer, folder: RunFolder) -> Iterator[None]:
    """Within it the trainer may start others of the job and meet them; after it they have ended, as this one has.

    Raises:
        ProcessEnded: where one of them has ended, and so this one could not go on.
    """
    if not isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        yield
        return
    launcher = trainer.strategy._launcher = Launcher(trainer, folder)
    try:
        yield
    except Exception as error:
        cause = launcher.cause(error)
        launcher.leave(failed=True)
        if cause is error:
            raise
        raise cause from error
    except BaseException:
        launcher.leave(failed=True)
        raise
    launcher.leave(failed=False)
