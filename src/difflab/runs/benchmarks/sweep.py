"""What a job of a sweep costs beside its own training."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from difflab.runs.benchmarks.row import Row
from difflab.runs.paths import CONFIGS

REPOSITORY = CONFIGS.parent
SHORT = ("metrics=none", "trainer.max_steps=4", "trainer.val_check_interval=4", "trainer.accelerator=cpu")


def sweep(settings: dict[str, Any]) -> Row:
    """Seconds of each job after the first, less those that it trains; basic launcher, the default network."""
    jobs = settings["repetitions"]
    alone, _ = swept(1)
    together, trained = swept(1 + jobs)
    cost = (together - alone) / jobs - trained
    how = f"seconds a job: ({together:.1f} of {1 + jobs} jobs - {alone:.1f} of one) / {jobs} - {trained:.2f} training"
    return Row("sweep", cost, None, None, "composing, data, first step", "below 1.5 s", cost < 1.5, how)


def swept(jobs: int) -> tuple[float, float]:
    """Seconds of the whole command, and mean seconds of training of its jobs after the first."""
    with tempfile.TemporaryDirectory() as folder:
        seeds = ",".join(map(str, range(jobs)))
        command = [sys.executable, "train.py", "-m", *SHORT, f"seed={seeds}", "name=sweep", f"outputs={folder}"]
        begun = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        seconds = time.perf_counter() - begun
        files = sorted(Path(folder).glob("sweeps/sweep/*/[1-9]*/metrics.json"))
        return seconds, fmean([json.loads(file.read_text())["seconds/train"] for file in files] or [0.0])
