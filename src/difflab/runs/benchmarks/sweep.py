"""What a job of a sweep costs beside its own training."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from difflab.runs.benchmarks.row import Row
from difflab.runs.paths import CONFIGS

SHORT = ("metrics=none", "trainer.max_steps=4", "trainer.val_check_interval=4", "trainer.accelerator=cpu")
TARGET = 1.5  # seconds


def sweep(settings: dict[str, Any]) -> list[Row]:
    """Seconds from the beginning of a job to that of the next, less those that it trains; the default network."""
    jobs = settings["repetitions"]
    whole, trained = swept(2 + jobs)  # the first one warms up, the last one ends the one before
    beside = [seconds - training for seconds, training in zip(whole[1:], trained[1:], strict=False)]
    cost = median(beside)
    steps = SHORT[1].partition("=")[2]
    how = (
        f"seconds from the beginning of a job to that of the next one ({median(whole[1:]):.2f}) less its {steps} steps "
        f"of training ({median(trained[1:-1]):.2f}), basic launcher, median of {jobs} jobs after the first"
    )
    row = Row("sweep", cost, None, None, "composing, data, first step", f"below {TARGET} s", cost < TARGET, how)
    return [row]


def beginnings(folder: Path, jobs: int, settings: Sequence[str]) -> tuple[Path, list[float]]:
    """The folder of a sweep of so many jobs, left in `folder`, and when each of them began."""
    seeds = ",".join(map(str, range(jobs)))
    command = [sys.executable, "train.py", "-m", *settings, f"seed={seeds}", "name=sweep", f"outputs={folder}"]
    subprocess.run(command, cwd=CONFIGS.parent, check=True, capture_output=True)
    (made,) = folder.glob("sweeps/sweep/*")
    return made, [(made / str(job) / ".hydra" / "config.yaml").stat().st_mtime for job in range(jobs)]


def swept(jobs: int) -> tuple[list[float], list[float]]:
    """Seconds between the beginnings of successive jobs of a sweep, and seconds of training of each job."""
    with tempfile.TemporaryDirectory() as folder:
        made, begun = beginnings(Path(folder), jobs, SHORT)
        figures = [json.loads((made / str(job) / "metrics.json").read_text()) for job in range(jobs)]
        return [later - one for one, later in pairwise(begun)], [job["seconds/train"] for job in figures]
