"""Bits per dimension of images: the bound, by any estimate of its sum, with its Monte-Carlo error."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from difflab.evaluation.processes import gather, rank_and_size
from difflab.likelihood import Case, Estimate, Scored
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.progress import Progress
from difflab.randomness import normal, stream


@dataclass(frozen=True)
class Sums:
    """What scoring some images gave; all in bits per dimension, float64.

    Attributes:
        totals: per bound, image and replicate, the estimate of sum_k L_k without the prior, [bounds, N, 2].
        tail: the same over the steps beyond `beyond`, first bound, [N, 2].
        by_step: mean over the images of each step's share of the first bound, [T + 1]; entry 0 is the prior.
        noise: Monte-Carlo variance of the mean of the first bound; for estimates without replicates an upper bound,
            the variance over images included.
        prior: [N].
    """

    totals: Tensor
    tail: Tensor
    by_step: Tensor
    noise: float
    prior: Tensor

    def mean(self, bound: int = 0) -> float:
        """Bits per dimension of the images under that bound, prior included."""
        return float((self.totals[bound].mean(1) + self.prior).mean())

    def image_stderr(self) -> float:
        """Standard error of the mean from the choice of the images."""
        per_image = self.totals[0].mean(1) + self.prior
        return float(per_image.std() / len(per_image) ** 0.5)


class Scorer:
    """Scores images under several bounds at once: one network call serves them all.

    Args:
        denoise: the denoiser, in evaluation mode, with the weights to score.
        estimate: which terms are computed.
        bounds: the first is the one that counts.
        seed: of the noise; that of image i of a split is a function of (seed, split, i).
        batch: images the network sees at once.
    """

    def __init__(self, denoise: Denoiser, estimate: Estimate, bounds: Sequence[Scored], seed: int, batch: int) -> None:
        self.denoise, self.estimate, self.bounds, self.seed, self.batch = denoise, estimate, bounds, seed, batch
        self.device = denoise.device
        self.T = bounds[0].T

    @torch.inference_mode()
    def case(self, x0: Tensor, eps: Tensor, k: Tensor, place: Tensor) -> Case:
        """What the bounds are computed from: the network's answer at step k of each image, in batches.

        Args:
            place: within the step, in [0, 1], for bounds of continuous time.
        """
        t = self.bounds[0].times(k, place)
        x_t = diffuse(self.denoise.schedule, x0, eps, t)
        x0_hat, extra = [], []
        for a in range(0, len(x0), self.batch):
            piece = slice(a, a + self.batch)
            prediction = self.denoise(x_t[piece].to(self.device), t[piece].to(self.device))
            x0_hat.append(prediction.x0.cpu())
            extra.append(None if prediction.extra is None else prediction.extra.cpu())
        known = [e for e in extra if e is not None]
        return Case(x0, eps, k, t, torch.cat(x0_hat), torch.cat(known) if known else None)

    def density(self, x0: Tensor) -> Tensor:
        """The chance of each step, [T], from a pilot on these images (held-out ones, never those to score)."""
        steps = self.estimate.pilot(self.T)
        mean_square = torch.zeros(len(steps), dtype=torch.float64)
        for i, k in enumerate(steps.tolist()):
            eps = normal(stream(self.seed, "pilot", k), x0.shape)
            k_all = torch.full((len(x0),), k)
            place = torch.full((len(x0),), 0.5, dtype=torch.float64)
            mean_square[i] = self.bounds[0].score(self.case(x0, eps, k_all, place)).square().mean()
        return self.estimate.density(self.T, mean_square)

    def score(self, x0: Tensor, split: str, density: Tensor, beyond: int = 0) -> Sums:
        """Every image's bits per dimension.

        Args:
            x0: [N, ...] in the model's range.
            split: its name: images of another split get other noise.
            density: from `density`.
            beyond: the step after which `Sums.tail` adds up.
        """
        rank, size = rank_and_size()
        calls = self.estimate.calls(self.T)
        block = max(1, self.batch // calls)
        blocks = range(0, len(x0), block)
        share = {}
        with Progress(f"bits/dim of {split}", len(blocks[rank::size]) * block * calls) as progress:
            for a in blocks[rank::size]:
                share[a] = self.block(x0[a : a + block], split, a, density, beyond)
                progress.advance(block * calls, f"{calls} network calls an image")
        pieces = list(gather(share).values())
        totals, tail = torch.cat([p[0] for p in pieces], 1), torch.cat([p[1] for p in pieces])
        by_step = torch.stack([p[2] for p in pieces]).sum(0) / len(x0)
        prior = self.bounds[0].prior(x0)
        by_step[0] = prior.mean()
        if self.estimate.replicates:
            noise = float((totals[0, :, 0] - totals[0, :, 1]).square().sum() / (4 * len(x0) ** 2))
        else:
            square = torch.stack([p[3] for p in pieces]).sum(0) / len(x0)
            noise = float((square - by_step[1:] ** 2).clamp(min=0).sum() / len(x0))
        return Sums(totals, tail, by_step, noise, prior)

    def block(
        self, x0: Tensor, split: str, first: int, density: Tensor, beyond: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Totals [bounds, n, 2], tail [n, 2], sums by step [T + 1] and sums of squares by step [T] of a few images."""
        calls = self.estimate.calls(self.T)
        streams = [stream(self.seed, "likelihood", split, first + i) for i in range(len(x0))]
        uniform = torch.stack([torch.from_numpy(s.random(calls)) for s in streams])
        eps = torch.cat([normal(s, (calls, *x0.shape[1:])) for s in streams])
        k, weight = self.estimate.draws(density, uniform)
        every = x0.repeat_interleave(calls, 0)
        place = torch.cat([torch.from_numpy(s.random(calls)) for s in streams])
        case = self.case(every, eps, k.flatten(), place)
        terms = torch.stack([b.score(case).view_as(weight) for b in self.bounds]) * weight
        totals, tail = self.replicates(terms), self.replicates(terms[0] * (k > beyond))
        by_step = torch.zeros(self.T + 1, dtype=torch.float64).index_add_(0, k.flatten(), terms[0].flatten())
        square = torch.zeros(self.T + 1, dtype=torch.float64).index_add_(0, k.flatten(), terms[0].flatten() ** 2)
        return totals, tail, by_step, square[1:]

    def replicates(self, terms: Tensor) -> Tensor:
        """Two estimates of the sum: of the even and of the odd draws where these are replicates, else the sum twice."""
        if not self.estimate.replicates:
            return terms.sum(-1, keepdim=True).expand(*terms.shape[:-1], 2)
        return 2 * torch.stack([terms[..., 0::2].sum(-1), terms[..., 1::2].sum(-1)], -1)
