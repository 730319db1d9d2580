"""Network calls of the stratified estimate against the exact bound, at the same Monte-Carlo error."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from difflab.data import ImageData
from difflab.evaluation import Examples, Likelihood, Scorer
from difflab.evaluation.likelihood import held_out_and_test
from difflab.likelihood import Exact, Stratified
from difflab.runs.benchmarks.row import Row
from difflab.runs.load import Run, load_run
from difflab.runs.paths import CONFIGS

GOAL = 0.01  # bits/dim, given the test images
SEEDS = 20
EXACT_SEEDS = 2
SHARE = 1 / 20


class Spread(NamedTuple):
    """Means of the same images over seeds: their mean, their standard deviation, and what they say of it themselves."""

    mean: float
    std: float
    reported: float
    calls: float

    @property
    def error(self) -> float:
        """The larger of the two: neither luck over few seeds nor a claim is enough."""
        return max(self.std, self.reported)


@contextmanager
def default_run(path: str | None) -> Iterator[Run]:
    """The run in a folder; without one the default run, trained for it and thrown away."""
    if path is not None:
        yield load_run(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", "metrics=none", f"outputs={folder}", "name=default"]
        subprocess.run(command, cwd=CONFIGS.parent, check=True)
        (trained,) = (Path(folder) / "runs" / "default").iterdir()
        yield load_run(trained)


def over_seeds(scorers: Sequence[Scorer], held_out: Examples, test: Examples) -> Spread:
    """Each scorer, of another seed, scores the same images."""
    found = []
    for scorer in scorers:
        plan = scorer.plan(held_out)
        sums = scorer.score(test, "test", plan)
        calls = scorer.estimate.calls(scorer.T) + plan.calls / len(test.x0)
        found.append((sums.mean(), sums.noise, calls))
    means, noise, calls = torch.tensor(found, dtype=torch.float64).unbind(1)
    return Spread(float(means.mean()), float(means.std()), float(noise.mean().sqrt()), float(calls.mean()))


@torch.inference_mode()
def likelihood(settings: dict[str, Any]) -> Row:
    """The least even number of calls an image for an error of at most GOAL, and those of the pilot."""
    with default_run(settings["run"]) as run:
        denoise, data, chosen = run.parts.denoiser, run.parts.data, run.parts.likelihood
        assert isinstance(chosen, Likelihood) and isinstance(data, ImageData)
        estimate = chosen.estimate if isinstance(chosen.estimate, Stratified) else Stratified(24, 16, 0.1)
        first = next(iter(chosen.bounds(denoise.schedule, data.levels).values()))
        held_out, test = held_out_and_test(denoise, data, None)

        def measured(estimate: Exact | Stratified, seeds: int) -> Spread:
            return over_seeds(
                [Scorer(denoise, estimate, [first], s, chosen.batch) for s in range(seeds)], held_out, test
            )

        @cache
        def stratified(steps: int) -> Spread:
            return measured(Stratified(steps, estimate.points, estimate.uniform_share), SEEDS)

        exact = measured(Exact(), EXACT_SEEDS)
        steps = max(2, round(24 * (stratified(24).error / GOAL) ** 2 / 2) * 2)  # about: the variance falls like 1/steps
        found = stratified(steps)
        while found.error > GOAL and steps < first.T:
            steps += 2
            found = stratified(steps)
        while steps > 2 and (fewer := stratified(steps - 2)).error <= GOAL:
            steps, found = steps - 2, fewer
    z = (found.mean - exact.mean) / (found.std**2 / SEEDS + exact.reported**2 / EXACT_SEEDS) ** 0.5
    how = (
        f"network calls an image of {len(test)} test images, pilot included ({steps} and {found.calls - steps:.2f}); "
        f"standard error {found.std:.4f} bits/dim over {SEEDS} seeds, {found.reported:.4f} as reported; "
        f"mean {found.mean:.4f} against {exact.mean:.4f} exact ({EXACT_SEEDS} seeds), z = {z:.2f}"
    )
    ratio = found.calls / first.T
    met = ratio <= SHARE and abs(z) < 3 and found.error <= GOAL
    return Row("likelihood", found.calls, first.T, ratio, "0.02", f"at most {SHARE}, |z| below 3", met, how)
