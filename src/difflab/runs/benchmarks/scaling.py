"""Two processes of one thread against one process of two, and how time grows with whatever a user can ask more of."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from difflab.progress import Progress
from difflab.runs.benchmarks.growing_networks import of_networks
from difflab.runs.benchmarks.growing_runs import of_runs
from difflab.runs.benchmarks.row import Row
from difflab.runs.paths import CONFIGS

ROUNDS = 2  # of each growth, at most
RUNS = 4  # whole ones on each side: a machine that others share is not as fast in one minute as in the next
EVERY = 10  # steps between two rates
BATCH = 128  # of both processes together
LEAST = 0.85
NETWORK = ("model=unet", "model.channels=64")


def rate(processes: int, threads: int, steps: int) -> list[float]:
    """Images a second of a run on the digits, one figure for every few steps after the first ones."""
    lengths = (f"trainer.max_steps={steps}", f"trainer.val_check_interval={steps}", f"checkpoints.every={steps}")
    fixed = (
        "metrics=none",
        "trainer.accelerator=cpu",
        f"trainer.log_every_n_steps={EVERY}",
        f"data.batch_size={BATCH}",
    )
    several = ("trainer=ddp", f"trainer.devices={processes}") if processes > 1 else ()
    with TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "train.py",
            *NETWORK,
            *several,
            *lengths,
            *fixed,
            "name=scaling",
            f"outputs={folder}",
        ]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, cwd=CONFIGS.parent, env=environment, check=True, capture_output=True)
        (table,) = Path(folder).glob("runs/scaling/*/metrics.csv")
        with table.open() as file:
            rates = [row["train/images_per_second"] for row in csv.DictReader(file)]
    return [float(figure) for figure in rates if figure][1:]


def processes(settings: dict[str, Any]) -> Row:
    """The same global batch by two processes and by one, the same number of threads altogether."""
    steps = EVERY * (1 + settings["steps"])
    found: dict[int, list[float]] = {1: [], 2: []}
    with Progress("processes", 2 * RUNS) as progress:
        for _ in range(RUNS):
            for count in found:
                found[count] += rate(count, 2 // count, steps)
                progress.advance()
    mine, peer = median(found[2]), median(found[1])
    how = (
        f"images/s in training, 2 processes of 1 thread against 1 process of 2 threads; {' '.join(NETWORK)} on the "
        f"digits, batch {BATCH} altogether; medians of rates over {EVERY} steps after the first ones, "
        f"{RUNS} runs each in turn"
    )
    return Row("scaling, processes", mine, peer, mine / peer, "1.00", f"at least {LEAST}", mine >= LEAST * peer, how)


def scaling(settings: dict[str, Any]) -> list[Row]:
    """The row of processes, and one of each growth."""
    repetitions = min(ROUNDS, settings["repetitions"])
    with TemporaryDirectory() as folder:
        return [processes(settings), *of_networks(repetitions), *of_runs(Path(folder), repetitions)]
