"""Bits per dimension of images: the bound, by any estimate of its sum, with its Monte-Carlo error."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, nan
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.evaluation.examples import Examples
from difflab.evaluation.processes import gather, rank_and_size
from difflab.likelihood import Case, Estimate, Scored
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.progress import Progress
from difflab.randomness import normal, stream

GROUP = 8  # images that share their strata
PILOT = 16  # images of a pilot


class Plan(NamedTuple):
    """What a pilot found out, and with it how the terms are drawn.

    Attributes:
        density: the chance of each step, [T].
        slopes: how much a term rises with |eps|^2 / D, per bound and step, [bounds, T].
        calls: network calls that the pilot took.
    """

    density: Tensor
    slopes: Tensor
    calls: int


@dataclass(frozen=True)
class Sums:
    """What scoring some images gave; all in bits per dimension, float64.

    Attributes:
        totals: per bound, image and replicate, the estimate of sum_k L_k without the prior, [bounds, N, 2].
        tail: the same over the steps beyond `beyond`, first bound, [N, 2].
        by_step: per bound, mean over the images of each step's share, [bounds, T + 1]; entry 0 is the prior.
        spread: for estimates without replicates, per step the variance of the first bound's term over images and
            noise, [T + 1]; None where replicates tell the error.
        prior: [N].
    """

    totals: Tensor
    tail: Tensor
    by_step: Tensor
    spread: Tensor | None
    prior: Tensor

    def mean(self, bound: int = 0) -> float:
        """Bits per dimension of the images under that bound, prior included."""
        return float((self.totals[bound].mean(1) + self.prior).mean())

    @property
    def noise(self) -> float:
        """Monte-Carlo variance of the mean given the images, first bound; without replicates an upper bound of it."""
        return self.noise_of(self.totals[0], 0)

    def noise_of(self, replicates: Tensor, beyond: int) -> float:
        """The same of any [N, 2] that holds the terms after a step, and further draws that differ in the replicates.

        The replicates of images that share their strata are added up before they are compared. Without replicates
        each image has one draw of each term, whose variance over the images is more than that of its noise.
        """
        images = len(replicates)
        if self.spread is None:
            groups = replicates.split(GROUP)
            difference = torch.stack([(g[:, 0] - g[:, 1]).sum() for g in groups])
            return float(difference.square().sum() / (4 * images**2))
        further = (replicates[:, 0] - replicates[:, 1]).square().sum() / (4 * images**2)
        return float(self.spread[beyond + 1 :].sum() / images + further)

    def image_stderr(self) -> float:
        """Standard error of the mean from the choice of the images."""
        per_image = self.totals[0].mean(1) + self.prior
        return float(per_image.std() / len(per_image) ** 0.5) if len(per_image) > 1 else nan


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
    def case(self, images: Examples, eps: Tensor, k: Tensor, place: Tensor) -> Case:
        """What the bounds are computed from: the network's answer at step k of each image, in batches.

        Args:
            place: within the step, in [0, 1], for bounds of continuous time.
        """
        t, x0 = self.bounds[0].times(k, place), images.x0
        x_t = diffuse(self.denoise.schedule, x0, eps, t)
        x0_hat, extra = [], []
        for a in range(0, len(x0), self.batch):
            piece = slice(a, a + self.batch)
            denoise = images.rows(piece).seen_by(self.denoise)
            prediction = denoise(x_t[piece].to(self.device), t[piece].to(self.device))
            x0_hat.append(prediction.x0.cpu())
            extra.append(None if prediction.extra is None else prediction.extra.cpu())
        known = [e for e in extra if e is not None]
        return Case(x0, eps, k, t, torch.cat(x0_hat), torch.cat(known) if known else None)

    def plan(self, images: Examples) -> Plan:
        """From a pilot on some of these images (held-out ones): each of its steps once, with noise of its own."""
        images, steps = images.rows(slice(PILOT)), self.estimate.pilot(self.T)
        x0 = images.x0
        square, slope = torch.zeros(2, len(self.bounds), len(steps), dtype=torch.float64)
        for i, k in enumerate(steps.tolist()):
            eps = normal(stream(self.seed, "pilot", k), x0.shape)
            place = torch.full((len(x0),), 0.5, dtype=torch.float64)
            case = self.case(images, eps, torch.full((len(x0),), k), place)
            terms = torch.stack([b.score(case) for b in self.bounds])
            length = excess(eps) - excess(eps).mean()  # of variance 2/D: no slope from a few that lie close
            slope[:, i] = (terms * length).sum(1) / length.square().sum().clamp(min=len(x0) / (2 * eps[0].numel()))
            square[:, i] = terms.square().mean(1)
        rms = square.clamp(min=1e-30).sqrt()
        # Between the steps, of the term itself, which changes over decades; a term that is all noise has a share of 1.
        share = self.estimate.between(self.T, (slope / rms).clamp(0, 2))
        slopes = share * self.estimate.between(self.T, rms.log()).exp()
        return Plan(self.estimate.density(self.T, square[0]), slopes, len(steps) * len(x0))

    def score(self, images: Examples, split: str, plan: Plan, beyond: int = 0) -> Sums:
        """Every image's bits per dimension.

        Args:
            images: on the levels of the data.
            split: its name: images of another split get other noise.
            plan: from `plan`.
            beyond: the step after which `Sums.tail` adds up.
        """
        x0 = images.x0
        rank, size = rank_and_size()
        calls = self.estimate.calls(self.T)
        block = max(1, self.batch // calls)
        blocks = range(0, len(x0), block)
        share = {}
        with Progress(f"bits/dim of {split}", len(blocks[rank::size]) * block * calls) as progress:
            for a in blocks[rank::size]:
                share[a] = self.block(images.rows(slice(a, a + block)), split, a, plan, beyond)
                progress.advance(block * calls, f"{calls} network calls an image")
        pieces = list(gather(share).values())
        totals, tail = torch.cat([p[0] for p in pieces], 1), torch.cat([p[1] for p in pieces])
        by_step, square = (torch.stack([p[i] for p in pieces]).sum(0) / len(x0) for i in (2, 3))
        unbiased = len(x0) / (len(x0) - 1) if len(x0) > 1 else nan
        spread = None if self.estimate.replicates else unbiased * (square - by_step[0] ** 2).clamp(min=0)
        prior = self.bounds[0].prior(x0)
        by_step[:, 0] = prior.mean()
        return Sums(totals, tail, by_step, spread, prior)

    def block(
        self, images: Examples, split: str, first: int, plan: Plan, beyond: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of a few images: totals [bounds, n, 2], tail [n, 2], sums by step of each bound [bounds, T + 1] and of the
        first one's squares [T + 1]."""
        calls, x0 = self.estimate.calls(self.T), images.x0
        streams = [stream(self.seed, "likelihood", split, first + i) for i in range(len(x0))]
        own = torch.stack([torch.from_numpy(s.random(calls)) for s in streams])
        eps = torch.cat([normal(s, (calls, *x0.shape[1:])) for s in streams])
        k, weight = self.estimate.draws(plan.density, self.together(own, split, first))
        place = torch.cat([torch.from_numpy(s.random(calls)) for s in streams])
        case = self.case(images.repeated(calls), eps, k.flatten(), place)
        control = plan.slopes[:, k - 1] * excess(eps).view_as(weight)
        terms = (torch.stack([b.score(case).view_as(weight) for b in self.bounds]) - control) * weight
        totals, tail = self.replicates(terms), self.replicates(terms[0] * (k > beyond))
        by_step = torch.zeros(len(terms), self.T + 1, dtype=torch.float64).index_add_(1, k.flatten(), terms.flatten(1))
        square = torch.zeros(self.T + 1, dtype=torch.float64).index_add_(0, k.flatten(), terms[0].flatten() ** 2)
        return totals, tail, by_step, square

    def together(self, uniform: Tensor, split: str, first: int) -> Tensor:
        """The same numbers, [n, calls], each moved to a slot of its own among the images of its group.

        Of each draw the images of a group have one in every 1/GROUP of [0, 1): what all images have in common in
        their terms is then known more closely. A draw stays uniform, and a function of (seed, split, image).
        """
        calls, last = uniform.shape[1], first + len(uniform)
        slots = [
            torch.from_numpy(stream(self.seed, "strata", split, g).random((GROUP, calls))).argsort(0)
            for g in range(first // GROUP, ceil(last / GROUP))
        ]
        skip = first % GROUP
        return (torch.cat(slots)[skip : skip + len(uniform)] + uniform) / GROUP

    def replicates(self, terms: Tensor) -> Tensor:
        """Two estimates of the sum: of the even and of the odd draws where these are replicates, else the sum twice."""
        if not self.estimate.replicates:
            return terms.sum(-1, keepdim=True).expand(*terms.shape[:-1], 2)
        return 2 * torch.stack([terms[..., 0::2].sum(-1), terms[..., 1::2].sum(-1)], -1)


def excess(eps: Tensor) -> Tensor:
    """|eps|^2 / D - 1 of each image, float64: what is known to be 0 in the mean.

    Much of a term is the length of its own noise. What it rises with that is taken off: the mean stays, the error
    falls (a control variate, with the slope of a pilot on other noise).
    """
    return eps.double().square().flatten(1).mean(1) - 1
