"""Samples of a network that is told an image, beside what it was told and the truth."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from difflab.data import Indexed
from difflab.evaluation.asked import Asked
from difflab.evaluation.pictures import as_seen
from difflab.plots import image_grid

TRIPLES = 3  # in a row of the picture


def completed(samples: Tensor, data: Indexed, asked: Asked | None) -> Callable[[Path], None] | None:
    """What draws condition | sample | truth of samples number 0, 1, ... into a path; None where no image was told.

    Of the condition the channels of an image are shown; unknown pixels are grey there.

    Raises:
        ConfigError: for a sample that is not finite, by its number.
    """
    truth = None if asked is None else asked.sources(range(len(samples)))
    if asked is None or truth is None:
        return None
    condition = asked.condition(range(len(samples)))
    assert condition is not None and condition.image is not None
    told = condition.image[:, : samples.shape[1]].clamp(-1, 1)
    pictures = torch.stack([as_seen(images, data) for images in (told, samples, truth)], 1).flatten(0, 1)
    return partial(image_grid, pictures, columns=3 * min(TRIPLES, len(samples)))
