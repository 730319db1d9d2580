"""What a sampler or a bound has to know of the trained network before it can be used."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from difflab.data import Indexed
from difflab.evaluation.examples import examples
from difflab.prediction import Denoiser, Prediction
from difflab.process import Variance
from difflab.randomness import normal, stream

EXAMPLES = 256


@torch.inference_mode()
def measure(holder: Any, denoise: Denoiser, data: Indexed) -> int:
    """Let the variance of a sampler or of a likelihood measure the network on training examples, where it needs to.

    Returns:
        The network calls on single examples that it took.
    """
    variance = getattr(holder, "variance", None)
    if not isinstance(variance, Variance) or type(variance).measure is Variance.measure:
        return 0
    first = data.train.part(slice(EXAMPLES))
    told = examples(denoise, data, first.values, first.labels, "train")
    x0, seen = told.x0.to(denoise.device), told.seen_by(denoise)
    generator = stream(0, "measure", prod(x0.shape))
    calls = 0

    def counted(x: Tensor, t: Tensor) -> Prediction:
        nonlocal calls
        calls += len(x)
        return seen(x, t)

    variance.measure(counted, denoise.schedule, x0, lambda: normal(generator, x0.shape).to(x0.device))
    return calls
