"""How the time of a sweep grows with its jobs, and that of a report with its run folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from omegaconf import OmegaConf

from difflab.runs.benchmarks.growth import growth, row
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.sweep import beginnings
from difflab.runs.paths import CONFIGS

JOBS = (2, 4, 8)
FOLDERS = (20, 80, 320)
SEEDS = 5  # of each variant
SHORT = ("metrics=none", "trainer.max_steps=2", "trainer.val_check_interval=2", "trainer.accelerator=cpu")


def sweep(folder: Path) -> tuple[dict[int, float], Path]:
    """Seconds that so many jobs of one sweep took, the first one not counted; the folder of a job."""
    made, begun = beginnings(folder, 2 + max(JOBS), SHORT)  # one ends the last one
    return {jobs: begun[1 + jobs] - begun[1] for jobs in JOBS}, made / "0"


def copies(run: Path, folder: Path, count: int) -> Path:
    """Folders of so many runs that differ by learning rate and seed, made of one."""
    random = Random(0)
    config: Any = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    figures, made = (json.loads((run / name).read_text()) for name in ("metrics.json", "environment.json"))
    for i in range(count):
        lr, seed = round(0.001 * (1 + i // SEEDS), 3), i % SEEDS
        target = folder / f"{i:03d}"
        shutil.copytree(run, target, ignore=shutil.ignore_patterns("checkpoints", ".hydra"))
        config["optim"]["lr"], config["seed"] = lr, seed
        OmegaConf.save(OmegaConf.create(config), target / "config.yaml")
        bits = {"test/bits_per_dim": random.gauss(3, 0.02), "seed": seed}
        (target / "metrics.json").write_text(json.dumps(figures | bits))
        typed = {"overrides": [f"optim.lr={lr}", f"seed={seed}"]}
        (target / "environment.json").write_text(json.dumps(made | typed))
    return folder


def report(runs: Path, out: Path) -> None:
    """The report of these run folders, all of its files, from the command to its end."""
    command = [sys.executable, "scripts/report.py", f"runs={runs}", f"out={out}"]
    subprocess.run(command, cwd=CONFIGS.parent, check=True, capture_output=True)


def of_runs(folder: Path, repetitions: int) -> list[Row]:
    """Rows of sweeps and of reports; run folders are left in `folder`."""
    seconds, run = sweep(folder)
    jobs = row("sweep by jobs", seconds, "jobs of 2 steps after the first one of a sweep, basic launcher")
    places = {count: copies(run, folder / f"copies-{count}", count) for count in FOLDERS}
    sides = {count: lambda place=place: report(place, folder / "report") for count, place in places.items()}
    what = f"a report of run folders, {SEEDS} seeds of each learning rate, all of its files"
    return [jobs, growth("report by run folders", sides, repetitions, what)]
