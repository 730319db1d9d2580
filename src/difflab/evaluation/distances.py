"""The figures of a distance between samples and data in a feature space, with its error and its floor."""

import statistics

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.features import Extractor
from difflab.metrics import Moments, frechet_distance


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of features."""
    state = Moments(features.shape[1], sync_on_compute=False)  # every process holds them all: adding up counts twice
    state.update(features)
    return state.compute()


def figures(data: ImageData, extractor: Extractor, samples: Tensor, draws: int) -> dict[str, float]:
    """Frechet distance of samples to the training part: mean over `draws` equal shares of the samples.

    Args:
        data: its training part is the reference; as many of its test part give the floor.
        samples: [draws * n, ...] in the model's range.
    """

    def features(levels: Tensor) -> Tensor:
        return torch.cat([extractor.features(p) for p in data.scaling.picture(levels).split(512)])

    reference = moments(features(data.reference.pixels))
    n = len(samples) // draws
    real, drawn = features(data.test.pixels[:n]), features(data.scaling.decode(samples))
    distances = [frechet_distance(*moments(share), *reference) for share in drawn.chunk(draws)]
    name = f"fd_{extractor.name}"
    result = {
        name: statistics.fmean(distances),
        f"{name}_floor": frechet_distance(*moments(real), *reference),
        f"{name}_samples": n,
        f"{name}_draws": draws,
        f"{name}_floor_samples": len(real),
    }
    if draws > 1:
        result[f"{name}_stderr"] = statistics.stdev(distances) / draws**0.5
    result |= {f"{extractor.name}_{key}": value for key, value in extractor.figures().items()}
    result |= {f"{extractor.name}_{key}": value for key, value in extractor.describe(drawn).items()}
    result |= {f"{extractor.name}_{key}_real": value for key, value in extractor.describe(real).items()}
    return result
