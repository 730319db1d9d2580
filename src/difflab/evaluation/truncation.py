"""The bound of a chain that ends early: tighter wherever the finest noise lies far below the width of a level."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.evaluation.examples import Examples
from difflab.evaluation.score import Scorer, Sums
from difflab.likelihood import discretised_nats
from difflab.randomness import normal, stream


class Truncation(NamedTuple):
    """The chain's last step k and the width of the discretised decoder around x0_hat(x_k)."""

    k: int
    std: float


def decoder_bits(scorer: Scorer, images: Examples, split: str, k: int, stds: list[float]) -> Tensor:
    """Bits per dimension of the decoder at step k for each width and image, [len(stds), N], from one noise draw."""
    x0 = images.x0
    eps = torch.stack([normal(stream(scorer.seed, "decoder", split, k, i), x0.shape[1:]) for i in range(len(x0))])
    x0_hat = scorer.case(images, eps, torch.full((len(x0),), k), torch.ones(len(x0), dtype=torch.float64)).x0_hat
    first = scorer.bounds[0]
    if first.clip:
        x0_hat = x0_hat.clamp(-1, 1)
    rows = [discretised_nats(x0, x0_hat, torch.tensor(s, dtype=torch.float64), first.levels) for s in stds]
    return torch.stack(rows) / math.log(2)


def choose(scorer: Scorer, images: Examples, sums: Sums) -> Truncation:
    """The step and width with the least bound on held-out images.

    Args:
        images: held out.
        sums: their score, whose terms beyond each candidate step are added to the decoder's bits.
    """
    level = 2 / (scorer.bounds[0].levels - 1)
    stds = (level * torch.logspace(math.log10(0.05), math.log10(4), 40, dtype=torch.float64)).tolist()
    ends = torch.logspace(0, math.log10(max(scorer.T / 8, 1)), 14).round().long().unique().tolist()
    found = []
    for k in ends:
        bits = decoder_bits(scorer, images, "val", k, stds).mean(1) + sums.by_step[0, k + 1 :].sum()
        best = int(bits.argmin())
        found.append((float(bits[best]), Truncation(k, stds[best])))
    return min(found)[1]


def truncated_bits(scorer: Scorer, images: Examples, split: str, sums: Sums, end: Truncation) -> tuple[float, float]:
    """Mean and Monte-Carlo standard error of the truncated bound; `sums` was scored with beyond=end.k.

    Where the estimate has no replicates the error is an upper bound, as that of `Sums` is.
    """
    decoder = torch.stack([decoder_bits(scorer, images, f"{split}{r}", end.k, [end.std])[0] for r in (0, 1)], -1)
    both = sums.tail + decoder
    return float((both.mean(1) + sums.prior).mean()), sums.noise_of(both, end.k) ** 0.5
