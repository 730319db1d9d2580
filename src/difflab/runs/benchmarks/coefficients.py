"""What the numbers of a step cost: marginals, transition, row of the prediction, c_noise."""

import time
from statistics import median
from typing import Any

import torch

from difflab.models import StepIndex
from difflab.prediction import V
from difflab.process import between
from difflab.runs.benchmarks.row import Row
from difflab.runs.build import build
from difflab.runs.load import option
from difflab.runs.paths import CONFIGS
from difflab.schedules import Marginal

STEPS = 50


@torch.inference_mode()
def coefficients(settings: dict[str, Any]) -> list[Row]:
    """For the slowest schedule."""
    found = {}
    for name in sorted(path.stem for path in (CONFIGS / "schedule").glob("*.yaml")):
        schedule = build(option("schedule", name, {}), "schedule")
        parameterisation, c_noise = V(), StepIndex()
        grid = build(option("grid", "uniform", {}), "grid")(schedule, STEPS)
        batch = [t.expand(settings["batch_size"]) for t in grid]
        seconds = []
        for _ in range(10 * settings["repetitions"]):
            begun = time.perf_counter()
            at = schedule.marginal(grid)
            for i in range(STEPS - 1):
                at_t, at_s = (Marginal(*(c[j] for c in at)) for j in (i, i + 1))
                between(at_s, at_t)
                parameterisation.row(at_t)
                c_noise(schedule, batch[i])
            seconds.append((time.perf_counter() - begun) / (STEPS - 1))
        found[name] = median(seconds)
    slowest = max(found, key=lambda name: found[name])
    mine = found[slowest] * 1e6
    how = f"microseconds a step, {slowest} (the slowest of {len(found)} schedules), median of grids of {STEPS} steps"
    return [Row("coefficients", mine, None, None, "a dozen scalar operations", "below 100", mine < 100, how)]
