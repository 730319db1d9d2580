"""The processes of one job that trains on several devices: started by Lightning, ended here."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

# Lightning puts these into the environment of the process that starts the others.
PLACES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = 60.0  # seconds for processes that have done the same work as this one


def is_child() -> bool:
    """Whether this process was started by another one of the same job, which does the telling and writing."""
    return int(os.environ.get("LOCAL_RANK", 0)) > 0


@contextmanager
def one_job(folder: Path) -> Iterator[None]:
    """What is started within it is told of this job alone, not of the sweep that it belongs to; nothing stays behind.

    Lightning starts further processes with this process's command line: in a sweep they would sweep as well, and so
    would those of an experiment that is one.
    """
    config: Any = HydraConfig.instance().cfg
    arguments, before = sys.argv, dict(os.environ)
    with read_write(config.hydra):
        config.hydra.run.dir = str(folder)
    sys.argv = [str(Path(arguments[0]).resolve()), *config.hydra.overrides.task, "hydra.mode=RUN"]
    try:
        yield
    finally:
        sys.argv = arguments
        torch = sys.modules.get("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name in PLACES:
            if name not in before:
                os.environ.pop(name, None)


def end_children(trainer: "Trainer", failed: bool) -> None:
    """Wait for the processes that the trainer started; where this one has failed they wait for it, and are killed."""
    started = getattr(trainer.strategy.launcher, "procs", [])
    children = list(started)
    started.clear()  # Lightning looks after this list, and kills this process too when one of them has failed
    for child in children:
        if failed:
            child.kill()
        try:
            child.wait(PATIENCE)
        except TimeoutExpired:
            child.kill()
