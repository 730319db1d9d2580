"""The default run that rows of one command share, and its test images by any estimate of the bound."""

import atexit
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import Likelihood, Scorer, Sums
from difflab.evaluation.likelihood import held_out_and_test
from difflab.likelihood import Estimate, Scored, Stratified
from difflab.prediction import Denoiser
from difflab.runs.load import load_run
from difflab.runs.paths import CONFIGS


@dataclass(frozen=True, eq=False)
class Trained:
    """A run whose bits per dimension are measured.

    Attributes:
        denoise, data, likelihood: of the run.
        figures: its metrics.json.
        seconds: of the whole command that trained it; None for a run that was there before.
    """

    denoise: Denoiser
    data: ImageData
    likelihood: Likelihood
    figures: dict[str, float]
    seconds: float | None

    @property
    def bound(self) -> Scored:
        """The bound that counts."""
        return next(iter(self.likelihood.bounds(self.denoise.schedule, self.data.levels).values()))

    @property
    def stratified(self) -> Stratified:
        """The estimate by few terms: the run's own, else that of likelihood=stratified."""
        own = self.likelihood.estimate
        return own if isinstance(own, Stratified) else Stratified(24, 16, 0.1)

    def scored(self, estimate: Estimate, seed: int, first: int | None = None) -> tuple[Sums, int]:
        """The first so many test images (None: all) under that bound, and the network calls of the pilot."""
        held_out, test = held_out_and_test(self.denoise, self.data, first)
        scorer = Scorer(self.denoise, estimate, [self.bound], seed, self.likelihood.batch)
        plan = scorer.plan(held_out)
        return scorer.score(test, "test", plan), plan.calls


@cache
def trained(path: str | None) -> Trained:
    """The run in a folder; without one the default run, trained for it, and thrown away when this process ends.

    Raises:
        ConfigError: for a run that is not of images, or whose bits per dimension are no sum over the steps of a chain.
    """
    seconds = None
    folder = path
    if folder is None:
        begun = time.perf_counter()
        folder = default_run()
        seconds = time.perf_counter() - begun
    run = load_run(folder)
    parts = run.parts
    if not (isinstance(parts.data, ImageData) and isinstance(parts.likelihood, Likelihood) and parts.likelihood.chain):
        raise ConfigError(f"run: {path}; allowed are runs on images whose likelihood= is stratified or exact")
    figures = json.loads(run.folder.metrics.read_text()) if run.folder.metrics.exists() else {}
    return Trained(parts.denoiser, parts.data, parts.likelihood, figures, seconds)


def default_run() -> Path:
    """The folder of a finished `python train.py`."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    command = [sys.executable, "train.py", f"outputs={folder.name}", "name=default"]
    subprocess.run(command, cwd=CONFIGS.parent, check=True)
    (found,) = Path(folder.name, "runs", "default").iterdir()
    return found
