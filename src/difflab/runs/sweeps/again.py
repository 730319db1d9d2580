"""Jobs that run again: of a resumed sweep, and those that a cluster has queued again."""

import os
import signal

from omegaconf import DictConfig, open_dict

from difflab.runs.folder import RunFolder
from difflab.runs.resume import as_override


def goes_on(cfg: DictConfig, folder: RunFolder) -> list[str]:
    """Where the job's own folder holds checkpoints already, it goes on from them, as resume= does; as overrides."""
    if not (folder.config.is_file() and any(folder.checkpoints.glob("*.ckpt"))):
        return []
    with open_dict(cfg):
        cfg.resume = str(folder.path)
    return [f"resume={as_override(folder.path)}"]


def requeue(error: BaseException | None) -> None:
    """Pass a signal that training has stopped for on to whoever listened before: submitit queues the job again."""
    signum = getattr(error, "signum", None)
    if signum in (signal.SIGUSR1, signal.SIGUSR2) and callable(signal.getsignal(signum)):
        os.kill(os.getpid(), signum)
