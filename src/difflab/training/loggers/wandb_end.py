"""How a run of Weights & Biases ends: in bounded time, whatever it is waiting for."""

import time
from contextlib import suppress
from subprocess import Popen
from threading import Thread
from typing import Any

MARGIN = 5.0  # seconds that W&B has for giving up by itself


def finish(run: Any, code: int, patience: float) -> None:
    """Send what is left.

    W&B itself waits for ever where its own process is gone, and may for files that no server takes in.

    Raises:
        TimeoutError: where not all could be sent; it is on the disk.
        Exception: for whatever else W&B raises.
    """
    errors: list[BaseException] = []

    def finished() -> None:
        try:
            run.finish(exit_code=code)
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=finished, name="finishing W&B's run", daemon=True)
    thread.start()
    until, process = time.monotonic() + patience + MARGIN, helper()
    try:
        while thread.is_alive() and time.monotonic() < until and (process is None or process.poll() is None):
            thread.join(0.1)
    except BaseException:  # Ctrl-C, while waiting
        abandon(process)
        raise
    if thread.is_alive():
        abandon(process)
        raise TimeoutError
    if errors:
        if not isinstance(errors[0], TimeoutError):
            abandon(process)
        raise errors[0]


def helper() -> Popen[bytes] | None:
    """W&B's own process, where this one has started it."""
    import wandb

    return getattr(getattr(getattr(wandb.setup(), "_connection", None), "_proc", None), "_process", None)


def abandon(process: Popen[bytes] | None) -> None:
    """End W&B's own process, for which this one would wait at its end; the next run gets another."""
    import wandb

    if process is not None:
        process.kill()
    with suppress(Exception, SystemExit):  # it leaves with that process's exit code
        wandb.teardown()
