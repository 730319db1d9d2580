"""What a sampler or a bound has to know of the trained network before it can be used."""

from math import prod
from typing import Any

import torch

from difflab.data import ImageData
from difflab.prediction import Denoiser
from difflab.process import Variance
from difflab.randomness import normal, stream

IMAGES = 256


@torch.inference_mode()
def measure(holder: Any, denoise: Denoiser, data: ImageData) -> None:
    """Let the variance of a sampler or of a likelihood measure the network on training images, where it needs to."""
    variance = getattr(holder, "variance", None)
    if not isinstance(variance, Variance) or type(variance).measure is Variance.measure:
        return
    x0 = data.scaling.encode(data.train.pixels[:IMAGES]).to(denoise.device)
    generator = stream(0, "measure", prod(x0.shape))
    variance.measure(denoise, denoise.schedule, x0, lambda: normal(generator, x0.shape).to(x0.device))
