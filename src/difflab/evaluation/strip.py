"""The denoising strip: a few samples on their way from noise to data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from difflab.data import Indexed
from difflab.evaluation.asked import Asked
from difflab.evaluation.pictures import as_seen, decoded
from difflab.evaluation.trace import shown
from difflab.plots.strips import Strip, picture_strips, strips
from difflab.prediction import Denoiser
from difflab.samplers import Sampler

IMAGES, POINTS, COLUMNS = 6, 500, 9


def strip(
    denoise: Denoiser, sampler: Sampler, data: Indexed, seed: int, asked: Asked | None = None
) -> Callable[[Path], None]:
    """What draws the first samples of a seed at times from 1 to 0 into a path; a row for each image.

    Raises:
        ConfigError: for samples that are not finite.
    """
    images = data.levels is not None
    moments = shown(denoise, sampler, data, IMAGES if images else POINTS, seed, COLUMNS, asked)
    titles = ["sample" if moment.t is None else f"t = {moment.t:.2f}" for moment in moments]
    if images:
        columns = torch.stack([as_seen(moment.x, data) for moment in moments])
        return partial(picture_strips, [(f"{i}", columns[:, i].clone()) for i in range(IMAGES)], titles)
    return partial(strips, [Strip("x_t", titles, [decoded(moment.x, data).clone() for moment in moments])])
