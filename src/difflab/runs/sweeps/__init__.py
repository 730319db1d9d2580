"""Sweeps: planned, watched, recorded and resumed, whatever launches their jobs."""

from difflab.runs.sweeps.again import goes_on, requeue
from difflab.runs.sweeps.isolation import one_job, output_of
from difflab.runs.sweeps.resume import resumed_sweep
from difflab.runs.sweeps.sweep import Sweep, stop_file

__all__ = ["Sweep", "goes_on", "one_job", "output_of", "requeue", "resumed_sweep", "stop_file"]
