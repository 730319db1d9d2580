"""The Inception Score: how sure a classifier is of each image, and how many classes it sees in all."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.errors import ConfigError
from difflab.metrics.checks import check


def inception_score(logits: Float[Tensor, "n classes"], splits: int, seed: int) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E_x KL(p(y|x) | p(y))) (Salimans et al., 2016, section 4).

    The mean divergence is the entropy of p(y) less the mean entropy of p(y|x): between 0 and log(classes).

    Args:
        logits: of the samples.
        splits: parts in which the shuffled images are scored, one by one.
        seed: of the shuffle.

    Raises:
        ConfigError: with more splits than images or fewer than one, and as `check` says.
    """
    check(logits, "samples")
    n = len(logits)
    if not 1 <= splits <= n:
        raise ConfigError(f"metrics.distances.inception_score.splits: {splits}, with {n} samples; allowed are 1 to {n}")
    order = np.random.RandomState(seed).permutation(n)  # the published figures are shuffled by it
    chances = logits[torch.from_numpy(order).to(logits.device)].double().softmax(1)
    scores = []
    for split in range(splits):
        part = chances[split * n // splits : (split + 1) * n // splits]
        entropies = torch.special.entr(part).sum(1)
        scores.append(float((torch.special.entr(part.mean(0)).sum() - entropies.mean()).exp()))
    return float(np.mean(scores)), float(np.std(scores))
