"""What surrounds one job of a sweep, so that it leaves nothing to the next and its processes know of it alone."""

import gc
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG)


@contextmanager
def one_job(folder: Path, script: Path, more: list[str]) -> Iterator[None]:
    """Processes that are started within it are told of this job alone, and everything it has changed is put back.

    Lightning starts further processes with this process's command line: in a sweep they would sweep as well, and in
    a worker of a launcher they would be workers.

    Args:
        folder: of the job's run.
        script: the command that the user typed, train.py.
        more: overrides that the job has got beside its own.
    """
    with ExitStack() as stack:
        for kept in (the_process, the_signals, the_warnings, torch_flags, random_states, pictures):
            stack.enter_context(kept())
        main: Any = sys.modules["__main__"]
        main.__spec__ = None  # in a worker it is the launcher's, and Lightning would start that
        config: Any = HydraConfig.instance().cfg
        with read_write(config.hydra):
            config.hydra.run.dir = str(folder)
        sys.argv = [str(script), *config.hydra.overrides.task, *more, "hydra.mode=RUN"]
        yield


@contextmanager
def output_of(folder: Path) -> Iterator[IO[str]]:
    """output.txt of a job in a sweep; none where it says nothing."""
    path = folder / "output.txt"
    with path.open("a", buffering=1) as file:
        yield file
    if not path.stat().st_size:
        path.unlink()


@contextmanager
def the_process() -> Iterator[None]:
    """Environment variables, the command line, what the main module says of itself, the process group."""
    main: Any = sys.modules["__main__"]
    environment, arguments, spec = dict(os.environ), sys.argv, main.__spec__
    if "torch" in sys.modules and not gc.get_freeze_count():
        gc.collect()
        gc.freeze()  # from the second job on: to look through all that was imported takes longer than to clean up
    try:
        yield
    finally:
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        sys.argv, main.__spec__ = arguments, spec
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        gc.collect()


@contextmanager
def told_to_end(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """A job hears of SIGTERM, and of the warnings of a cluster where nobody else does.

    A warning that comes after the job is for nobody, and would end the process and all that its launcher runs.
    """
    unheard = (signal.SIG_DFL, signal.SIG_IGN)
    numbers = [number for number in (signal.SIGUSR1, signal.SIGUSR2) if signal.getsignal(number) in unheard]
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, *numbers)}
    try:
        yield
    finally:
        for number, other in before.items():
            if other is not None:
                signal.signal(number, signal.SIG_IGN if number in numbers else other)


@contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Signals that come within it are told of afterwards, but for those taken from the list that it gives."""
    came: list[int] = []
    heard = [number for number in SIGNALS if number != signal.SIGURG and callable(signal.getsignal(number))]
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in heard}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def the_signals() -> Iterator[None]:
    """Who is told of Ctrl-C and of signals to stop."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that C has set cannot be set again from here
                signal.signal(number, handler)


@contextmanager
def the_warnings() -> Iterator[None]:
    """Which warnings are shown."""
    with warnings.catch_warnings():
        yield


@contextmanager
def torch_flags() -> Iterator[None]:
    """The switches of torch that change results or speed of the whole process."""
    import torch
    from torch.backends import cudnn

    flags: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, torch.set_default_device),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        *(
            (partial(getattr, cudnn, name), partial(setattr, cudnn, name))
            for name in ("enabled", "benchmark", "deterministic")
        ),
    ]
    before = [get() for get, _ in flags]
    try:
        yield
    finally:
        for (get, put), value in zip(flags, before, strict=True):
            if get() != value:
                put(value)


@contextmanager
def random_states() -> Iterator[None]:
    """The global generators of Python, numpy and torch; difflab draws from none of them, libraries do."""
    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        if gpus is not None:
            torch.cuda.set_rng_state_all(gpus)


@contextmanager
def pictures() -> Iterator[None]:
    """matplotlib's settings and open figures."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    try:
        yield
    finally:
        mpl.rcParams.update({key: value for key, value in before.items() if mpl.rcParams[key] != value})
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close("all")
