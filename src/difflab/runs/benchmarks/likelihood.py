"""Network calls of the stratified estimate against the exact bound, at the same Monte-Carlo error."""

from functools import cache
from typing import Any, NamedTuple

import torch

from difflab.likelihood import Exact, Stratified
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.trained import Trained, trained

GOAL = 0.01  # bits/dim, given the test images
SEEDS = 10
GUESSED, GUESSING = 24, 2  # calls an image and seeds that tell about how many calls are needed
TWICE = 90  # test images whose exact sums are drawn a second time
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


def over_seeds(run: Trained, estimate: Stratified, seeds: int) -> Spread:
    """All test images, scored with as many seeds."""
    found = []
    for seed in range(seeds):
        sums, pilot = run.scored(estimate, seed)
        found.append((sums.mean(), sums.noise, estimate.steps + pilot / len(sums.prior)))
    means, noise, calls = torch.tensor(found, dtype=torch.float64).unbind(1)
    return Spread(float(means.mean()), float(means.std()), float(noise.mean().sqrt()), float(calls.mean()))


def exact(run: Trained) -> tuple[float, float]:
    """The mean of all test images' exact sums, and its Monte-Carlo error: by how much the sums of a few of them change
    with other noise tells the variance of each."""
    (whole, _), (again, _) = run.scored(Exact(), 0), run.scored(Exact(), 1, TWICE)
    change = (whole.totals[0, : len(again.prior)] - again.totals[0]).mean(1)
    return whole.mean(), float((change.square().mean() / 2 / len(whole.prior)).sqrt())


def likelihood(settings: dict[str, Any]) -> list[Row]:
    """The least even number of calls an image for an error of at most GOAL, and those of the pilot."""
    run = trained(settings["run"])
    T, like = run.bound.T, run.stratified

    @cache
    def stratified(steps: int, seeds: int) -> Spread:
        return over_seeds(run, Stratified(steps, like.points, like.uniform_share), seeds)

    guess = stratified(GUESSED, GUESSING).reported  # about: the variance falls like 1/steps
    steps = max(2, round(GUESSED * (guess / GOAL) ** 2 / 2) * 2)
    found = stratified(steps, SEEDS)
    while found.error > GOAL and steps < T:
        steps += 2
        found = stratified(steps, SEEDS)
    while steps > 2 and (fewer := stratified(steps - 2, SEEDS)).error <= GOAL:
        steps, found = steps - 2, fewer
    mean, error = exact(run)
    images = len(run.data.test)
    z = (found.mean - mean) / (found.std**2 / SEEDS + error**2) ** 0.5
    how = (
        f"network calls an image of {images} test images, pilot included ({steps} and {found.calls - steps:.2f}); "
        f"standard error {found.std:.4f} bits/dim over {SEEDS} seeds, {found.reported:.4f} as reported; "
        f"mean {found.mean:.4f} against {mean:.4f} ± {error:.4f} exact, z = {z:.2f}"
    )
    ratio = found.calls / T
    met = ratio <= SHARE and abs(z) < 3 and found.error <= GOAL
    return [Row("likelihood", found.calls, T, ratio, "0.02", f"at most {SHARE}, |z| below 3", met, how)]
