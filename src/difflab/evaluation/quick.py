"""Bits per dimension for a given number of network calls: a figure for the time of training."""

from collections.abc import Sequence

import torch

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation.examples import examples
from difflab.evaluation.score import PILOT, Scorer
from difflab.likelihood import Scored, Stratified
from difflab.prediction import Denoiser

LEAST = 8
POINTS = 12  # of the pilot, where there are calls enough


@torch.inference_mode()
def quick(
    denoise: Denoiser, data: ImageData, bounds: Sequence[Scored], calls: int, seed: int, batch: int
) -> dict[str, float]:
    """The first bound on held-out images, within so many network calls on single images, the pilot included.

    Always by a stratified estimate, which is unbiased for what the exact one gives: a quarter of the calls at most for
    the pilot, the rest spread over as many of the images as there are, since the choice of the images is the larger
    error. Images and noise are the same for one seed, so that two times of training differ by their weights alone.

    Raises:
        ConfigError: for fewer calls than an estimate and its error take.
    """
    if calls < LEAST:
        raise ConfigError(f"calls: {calls}; a figure of bits per dimension takes at least {LEAST} network calls")
    points = min(POINTS, max(2, calls // 16))
    pilot = data.val.part(slice(max(1, min(PILOT, calls // 4 // points))))
    left = calls - points * len(pilot)
    images = data.val.part(slice(left // 2))
    estimate = Stratified(left // len(images) // 2 * 2, points, 0.1)
    scorer = Scorer(denoise, estimate, bounds[:1], seed, batch)
    plan = scorer.plan(examples(denoise, data, pilot.pixels, pilot.labels, "val"))
    sums = scorer.score(examples(denoise, data, images.pixels, images.labels, "val"), "val", plan)
    return {
        "bits_per_dim": sums.mean(),
        "bits_per_dim_stderr": sums.noise**0.5,
        "bits_per_dim_images": len(images),
        "bits_per_dim_calls": estimate.steps + plan.calls / len(images),
    }
