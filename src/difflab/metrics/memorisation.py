"""Whether samples are copies: their nearest neighbours in the training set, and how near these lie."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.metrics.checks import check
from difflab.metrics.pairs import ROWS, closest

CANDIDATES = 4  # neighbours whose distance is computed once more, without the rounding of the search


def nearest(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """The distance of each row of a to its nearest row of b, in float64, and which row that is.

    The distance is taken from the difference of the two: exactly 0 for equal rows.

    Raises:
        ConfigError: as `check` says.
    """
    check(a, "samples")
    check(b, "reference")
    _, candidates = closest(a, b, min(CANDIDATES, len(b)))
    distances, indices = [], []
    for rows, those in zip(a.split(ROWS), candidates.split(ROWS), strict=True):
        distance, best = (rows[:, None].double() - b[those].double()).norm(dim=2).min(1)
        distances.append(distance)
        indices.append(those.gather(1, best[:, None])[:, 0])
    return torch.cat(distances), torch.cat(indices)


def copied_share(samples_to_train: Float[Tensor, " n"], test_to_train: Float[Tensor, " m"]) -> tuple[float, float]:
    """The chance that a sample lies nearer to the training set than a test image does, and its standard error.

    0.5 for samples that are like test images, near 1 for copies, below 0.5 for samples that are off the data: the
    Mann-Whitney statistic of data-copying (Meehan, Chaudhuri & Dasgupta, 2020, section 3), where ties count half.
    The error is that of DeLong et al. (1988), over the draws of samples and of test images with the training set as
    it is; it is 0 where every sample lies on the same side of every test image.

    Args:
        samples_to_train: distance of each sample to its nearest training image.
        test_to_train: of each test image.

    Raises:
        ConfigError: as `check` says.
    """
    check(samples_to_train[:, None], "samples")
    check(test_to_train[:, None], "test part")
    of_sample = farther(samples_to_train.double(), test_to_train.double())
    of_test = 1 - farther(test_to_train.double(), samples_to_train.double())
    error = sum(float(part.var() / len(part)) if len(part) > 1 else 0.25 for part in (of_sample, of_test)) ** 0.5
    return float(of_sample.mean()), error


def farther(x: Float[Tensor, " n"], y: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
    """For each x the share of the y that are larger, equal ones counting half."""
    y = y.sort().values
    below, upto = torch.searchsorted(y, x), torch.searchsorted(y, x, right=True)
    return 1 - (below + upto).double() / (2 * len(y))
