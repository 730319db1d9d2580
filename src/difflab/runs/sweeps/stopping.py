"""Ctrl-C and SIGTERM for a sweep whose jobs run in other processes of this machine."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from socket import gethostname

from difflab.progress import interject
from difflab.runs.sweeps.job import Job

PATIENCE = 120.0  # seconds for running jobs to save
LOOK = 0.5  # seconds between two looks at them


def pass_on(signum: int, jobs: Sequence[Job]) -> None:
    """Pass a signal on to the jobs that run in other processes here, and wait until they have saved.

    Ctrl-C may have reached them already, and a second one would stop them at once: they get a warning in its place.
    """
    mine = [job for job in jobs if job.refresh().state == "running" and job.host == gethostname()]
    mine = [job for job in mine if job.pid not in (None, os.getpid()) and job.is_held()]
    for job in mine:
        with suppress(ProcessLookupError):
            os.kill(job.pid or 0, signal.SIGUSR1 if signum == signal.SIGINT else signum)
    if mine:
        interject(f"waiting for {len(mine)} jobs to save")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(job.refresh().state == "running" and job.is_held() for job in mine):
        time.sleep(LOOK)
