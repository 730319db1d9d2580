"""Reports in memory: what a sweep of digits leaves, without a run folder but for its pictures."""

from collections.abc import Sequence
from itertools import pairwise, product
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from difflab.report.compare import compare
from difflab.report.model import Report, Run

STEPS = range(50, 1501, 10)
LOOKS = (500, 1000, 1500)
EDGES = (1, 2, 3, 4, 6, 9, 14, 22, 35, 56, 90, 150, 250, 420, 700, 1001)
CALLS = (10, 20, 50, 100)
LENGTHS = (0.03, 0.05, 0.1, 0.2)
SCHEDULES, LOSSES = ("linear", "cosine"), ("simple", "vlb", "score")
VERSIONS = {"difflab": "0.1.0", "torch": "2.14.1", "lightning": "2.6.6", "numpy": "2.4.6"}


def made(
    folder: Path,
    schedules: Sequence[str] = SCHEDULES,
    losses: Sequence[str] = LOSSES,
    seeds: Sequence[int] = (0, 1, 2),
    others: Sequence[Run] = (),
    pictures: bool = True,
) -> Report:
    """A sweep of schedule x loss x seed, with curves, terms, pictures and evaluations.

    Args:
        folder: for the pictures.
        others: further runs.
    """
    choices = product(schedules, losses, seeds)
    runs = [made_run(folder, i, *choice, pictures=pictures) for i, choice in enumerate(choices)]
    command = "python scripts/report.py runs=outputs/sweeps/digits"
    return compare([*runs, *others], (), ("outputs/sweeps/digits",), command=command)


def made_run(folder: Path, i: int, schedule: str, loss: str, seed: int, pictures: bool = True) -> Run:
    """A run that is done; its figures depend on its choices and its seed."""
    random = np.random.default_rng([sum(map(ord, schedule + loss)), seed])
    shift = 0.12 * (schedule != "cosine") + 0.05 * (len(loss) % 4) + random.normal(0, 0.015)
    bits, distance = 2.9 + shift, 15.0 + 40 * shift + random.normal(0, 1)
    values = figures(bits, distance, random, seed)
    typed = (f"schedule={schedule}", f"loss={loss}", f"seed={seed}")
    return Run(
        folder / str(i),
        str(i),
        "done",
        seed=seed,
        settings=settings(schedule, loss, seed),
        typed=typed,
        figures=values,
        curves=curves(bits, random),
        terms=terms(bits, random),
        evaluations=evaluations(values, random),
        environment=environment(typed),
        pictures={step: picture(folder / f"{i}_{step}.png", random, step) for step in LOOKS} if pictures else {},
        seconds=180.0 + random.normal(0, 4),
    )


def figures(bits: float, distance: float, random: np.random.Generator, seed: int) -> dict[str, float]:
    """metrics.json."""
    return {
        "test/bits_per_dim": bits,
        "test/bits_per_dim_stderr": 0.008,
        "test/bits_per_dim_images": 360,
        "test/bits_per_dim_calls": 24.7,
        "test/fd_classifier": distance,
        "test/fd_classifier_stderr": 1.9,
        "test/fd_classifier_samples": 360,
        "test/fd_classifier_draws": 5,
        "test/fd_classifier_floor": 10.16,
        "test/fd_classifier_floor_samples": 360,
        "test/network_calls": 50,
        "train/loss": 0.07 + random.normal(0, 0.002),
        "train/memory_gb": 0.61 + random.normal(0, 0.01),
        "train/steps": 1500,
        "seconds/train": 150.0 + random.normal(0, 4),
        "model/parameters": 701345,
        "seed": seed,
    }


def settings(schedule: str, loss: str, seed: int) -> dict[str, str]:
    """config.yaml, some of it."""
    return {
        "name": "digits",
        "seed": str(seed),
        "schedule": schedule,
        "schedule.T": "1000",
        "loss": loss,
        "sampler": "ddim",
        "sampler.steps": "50",
        "sampler.eta": "0.0",
        "ema": "constant",
        "ema.decay": "0.999",
        "metrics.images": "1000",
        "data": "digits",
        "data.batch_size": "128",
        "trainer.max_steps": "1500",
    }


def curves(bits: float, random: np.random.Generator) -> dict[str, tuple[list[int], list[float]]]:
    """metrics.csv."""
    steps = list(STEPS)
    loss = [0.06 + 0.5 * exp(-step / 150) + random.normal(0, 0.004) for step in steps]
    norm = [0.3 + 2 * exp(-step / 100) + abs(random.normal(0, 0.05)) for step in steps]
    return {
        "train/loss": (steps, loss),
        "train/grad_norm": (steps, norm),
        **{f"train/loss_q{q}": (steps, [value * (1.5 - q / 4) for value in loss]) for q in range(4)},
        "train/lr": (steps, [0.003 * (1 - step / 1600) for step in steps]),
        "val/bits_per_dim": (list(LOOKS), [bits + 300 / step + random.normal(0, 0.02) for step in LOOKS]),
    }


def terms(bits: float, random: np.random.Generator) -> tuple[tuple[int, int, float], ...]:
    """bound_terms.csv: much near the data, little far from it."""
    stretches = [(a, b - 1) for a, b in pairwise(EDGES)]
    shares = np.array([1e-7, *(random.uniform(0.9, 1.1) * b**-0.9 * (b - a + 1) for a, b in stretches[1:])])
    return tuple((a, b, float(bits * share)) for (a, b), share in zip(stretches, shares / shares.sum(), strict=True))


def evaluations(final: dict[str, float], random: np.random.Generator) -> tuple[dict[str, Any], ...]:
    """evaluations.jsonl: the last one of the training, then some of other numbers of steps and EMA lengths."""
    distance = final["test/fd_classifier"]
    lines = [{"settings": {"sampler": sampler("DDIM", 50), "ema": {"decay": 0.999}}, **final}]
    for name, (kind, shift) in {"DDIM": ("DDIM", 0), "Ancestral": ("Ancestral", 12)}.items():
        for calls in CALLS:
            value = distance + shift + 200 / calls + random.normal(0, 0.5)
            lines.append(line(sampler(kind, calls), {"length": 0.1}, calls, value, name))
    for length in LENGTHS:
        value = distance + 300 * (length - 0.09) ** 2 + random.normal(0, 0.2)
        lines.append(line(sampler("DDIM", 50), {"length": length}, 50, value, "DDIM"))
    return tuple(lines)


def sampler(kind: str, steps: int) -> dict[str, Any]:
    return {"_target_": f"difflab.samplers.{kind}", "steps": steps, "eta": 0.0 if kind == "DDIM" else 1.0}


def line(sampler: dict[str, Any], ema: dict[str, float], calls: int, value: float, name: str) -> dict[str, Any]:
    own = {"settings": {"sampler": sampler, "ema": ema}, "overrides": [f"sampler={name.lower()}"]}
    return own | {"test/network_calls": calls, "test/fd_classifier": value, "test/fd_classifier_stderr": 1.9}


def environment(typed: Sequence[str]) -> dict[str, Any]:
    """environment.json."""
    return {
        "command": ["python", "train.py", *typed],
        "overrides": list(typed),
        "python": "3.11.7",
        "packages": VERSIONS,
        "commit": "e8155d8c0ffee",
        "modified": False,
        "machine": {"system": "Linux-6.18-x86_64", "processor": "x86_64", "cores": 2},
    }


def picture(path: Path, random: np.random.Generator, step: int) -> Path:
    """A grid of 8 x 8 blobs of 8 x 8 pixels, clearer at later steps, enlarged seven times as runs do."""
    y, x, centres = *np.mgrid[:8, :8], random.uniform(2, 5, (64, 2, 1, 1))
    blobs = 255 * np.exp(-(((x - centres[:, 0]) / 1.4) ** 2) - ((y - centres[:, 1]) / 1.8) ** 2)
    blobs += random.normal(0, 30000 / step, blobs.shape)
    grid = np.full((73, 73), 128.0)
    grid[1:, 1:].reshape(8, 9, 8, 9)[:, :8, :, :8] = blobs.reshape(8, 8, 8, 8).transpose(0, 2, 1, 3)
    pixels = grid.clip(0, 255).astype(np.uint8).repeat(7, 0).repeat(7, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert("RGB").save(path, compress_level=1)
    return path


def undone(folder: Path, name: str, state: str, reason: str, **more: Any) -> Run:
    """A run without figures."""
    return Run(folder / name, name, state, reason=reason, typed=("schedule=linear", "loss=vlb"), **more)
