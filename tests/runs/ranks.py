"""train.py where something happens to one of its processes: what, is the seed; where, is in RANK (else process 1)."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, SIGTERM, kill_at

from difflab.errors import ConfigError
from difflab.runs import run
from difflab.runs.processes import is_child

ALONE, STARTING, BROKEN, REFUSED, FINE = range(5)
FAULTS = {
    ALONE: "process 1 of 2 ended (signal 9)",
    STARTING: "process 1 of 2 ended (signal 9)",
    BROKEN: "process 1 of 2 ended: ValueError: two things",
    REFUSED: "process 1 of 2 ended: data.root: not on this machine",
}


def in_step(step: int, action: Callable[[], None], seed: int = 0) -> None:
    """Do something at the beginning of a step of runs with this seed."""
    from difflab.training import Diffusion

    original = Diffusion.training_step

    def hooked(self, batch, batch_idx):
        if self.global_step == step and self.seed == seed:
            action()
        return original(self, batch, batch_idx)

    Diffusion.training_step = hooked


def asleep() -> None:
    """A step that no process of the job waits for."""
    time.sleep(300)


def deaf() -> None:
    """The same, where nothing reaches this process: it may be waiting inside of a library."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
    time.sleep(300)


def from_step(step: int) -> None:
    """A process that goes on from another checkpoint than the newest."""
    from difflab.runs import train

    train.checkpoint = lambda folder: (folder.checkpoints / f"step_{step:06d}.ckpt", [])


def broken() -> None:
    raise ValueError("two things")


def terminate() -> None:
    os.kill(os.getpid(), SIGTERM)


def refused(*_) -> None:
    raise ConfigError("data.root: not on this machine")


def fault(seed: int) -> None:
    """What happens to process 1."""
    if seed == ALONE:
        kill_at("training", 7, SIGKILL)
    elif seed == STARTING:
        kill_at("data", 0, SIGKILL)
    elif seed == BROKEN:
        in_step(7, broken, seed)
    elif seed == REFUSED:
        from difflab.data import Digits

        Digits.read = refused


if __name__ == "__main__":
    if is_child():
        (seed,) = [int(a.split("=")[1]) for a in sys.argv if a.startswith("seed=")]
        fault(seed)
    else:
        in_step(7, asleep, ALONE)
    run("train", "difflab.runs.train", owns_folder=True)
