"""Sweeps: planned, watched, recorded and resumed, whatever launches their jobs."""

from difflab.runs.sweeps.again import goes_on, requeue
from difflab.runs.sweeps.folder import stop_file
from difflab.runs.sweeps.isolation import one_job, output_of, told_to_end, uninterrupted
from difflab.runs.sweeps.resume import resumed_sweep
from difflab.runs.sweeps.sweep import Sweep

__all__ = [
    "Sweep",
    "goes_on",
    "one_job",
    "output_of",
    "requeue",
    "resumed_sweep",
    "stop_file",
    "told_to_end",
    "uninterrupted",
]
