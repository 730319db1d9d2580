"""The figures of bits per dimension: published convention, its variants, and the truncated bound."""

from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.evaluation.examples import Examples, examples
from difflab.evaluation.quick import quick
from difflab.evaluation.score import Scorer
from difflab.evaluation.truncation import choose, truncated_bits
from difflab.likelihood import Bound, Cells, Decoder, Estimate, Scored
from difflab.prediction import Denoiser
from difflab.process import Forward, Posterior, Variance
from difflab.schedules import Schedule

HELD_OUT = 128
Terms = list[tuple[int, int, float]]  # first step, last step, bits per dimension


class Scores(NamedTuple):
    """What scoring test images gave.

    Attributes:
        figures: by name.
        terms: by the name of each bound, the one that counts first: of stretches of the chain, one step each where all
            were computed; empty where nothing is a sum over steps.
    """

    figures: dict[str, float]
    terms: dict[str, Terms]


@dataclass(frozen=True)
class Likelihood:
    """likelihood=: how bits per dimension are computed, by the steps of a chain.

    Args:
        estimate: which terms of the bound are computed.
        variance: of the reverse steps, in the figure that counts.
        decoder: of the last step.
        clip: whether x0_hat is clipped in it.
        batch: images the network sees at once.
    """

    estimate: Estimate
    variance: Variance
    decoder: Decoder
    clip: bool
    batch: int

    chain = True

    def bounds(self, schedule: Schedule, levels: int) -> dict[str, Scored]:
        """By name, the bound of these choices first, and beside it those of the other variance and clipping."""
        other = Forward() if isinstance(self.variance, Posterior) else Posterior()
        return {
            f"{type(v).__name__.lower()}_{'clipped' if c else 'unclipped'}": Bound(schedule, v, c, levels, self.decoder)
            for v in (self.variance, other)
            for c in (self.clip, not self.clip)
        }

    def scorer(self, denoise: Denoiser, levels: int, seed: int) -> Scorer:
        """The scorer of these choices, all bounds from the same network calls."""
        return Scorer(denoise, self.estimate, list(self.bounds(denoise.schedule, levels).values()), seed, self.batch)

    def figures(self, denoise: Denoiser, data: ImageData, images: int | None, seed: int) -> Scores:
        """Figures of the first `images` of the test part, and the terms of every bound."""
        scorer = self.scorer(denoise, data.levels, seed)
        held_out, test = held_out_and_test(denoise, data, images)
        plan = scorer.plan(held_out)
        end = choose(scorer, held_out, scorer.score(held_out, "val", plan))
        sums = scorer.score(test, "test", plan, beyond=end.k)
        truncated, truncated_stderr = truncated_bits(scorer, test, "test", sums, end)
        figures = {
            "bits_per_dim": sums.mean(),
            "bits_per_dim_stderr": sums.noise**0.5,
            "bits_per_dim_stderr_images": sums.image_stderr(),
            "bits_per_dim_prior": float(sums.by_step[0, 0]),
            "bits_per_dim_decoder": float(sums.by_step[0, 1]),
            "bits_per_dim_diffusion": float(sums.by_step[0, 2:].sum()),
            "bits_per_dim_truncated": truncated,
            "bits_per_dim_truncated_stderr": truncated_stderr,
            "bits_per_dim_truncated_step": end.k,
            "bits_per_dim_truncated_width": end.std,
            "bits_per_dim_calls": self.estimate.calls(scorer.T) + plan.calls / len(test.x0),
            "bits_per_dim_images": len(test.x0),
        }
        terms = {}
        for i, kind in enumerate(self.bounds(denoise.schedule, data.levels)):
            figures[f"bits_per_dim_{kind}"] = sums.mean(i)
            terms[kind] = bins(sums.by_step[i], self.estimate)
        return Scores({name: value for name, value in figures.items() if not isnan(value)}, terms)

    def quick(self, denoise: Denoiser, data: ImageData, calls: int, seed: int) -> dict[str, float]:
        """Bits per dimension of held-out images from so many network calls, see `difflab.evaluation.quick`."""
        return quick(denoise, data, list(self.bounds(denoise.schedule, data.levels).values()), calls, seed, self.batch)

    def of(self, denoise: Denoiser, data: ImageData, images: Examples, seed: int) -> tuple[float, float]:
        """Mean bits per dimension of any images, and its standard error (Monte-Carlo and the choice of images).

        Args:
            images: on the levels of the data.
        """
        scorer = self.scorer(denoise, data.levels, seed)
        held_out, _ = held_out_and_test(denoise, data, 0)
        sums = scorer.score(images, "x", scorer.plan(held_out))
        return sums.mean(), sums.image_stderr() if len(images.x0) > 1 else sums.noise**0.5


@dataclass(frozen=True)
class Continuous(Likelihood):
    """The bound of continuous time (Kingma et al., 2021, Eq. 11), its integral cut into cells that the estimate draws.

    Args:
        estimate, variance, decoder, clip, batch: as above; the variance has no say in continuous time.
        cells: of equal width in t; an estimate that takes every cell draws one time in each.
    """

    cells: int

    chain = False

    def bounds(self, schedule: Schedule, levels: int) -> dict[str, Scored]:
        return {
            f"continuous_{'clipped' if c else 'unclipped'}": Cells(schedule, self.cells, c, levels, self.decoder)
            for c in (self.clip, not self.clip)
        }


def held_out_and_test(denoise: Denoiser, data: ImageData, images: int | None) -> tuple[Examples, Examples]:
    """Some of the validation part, and the first `images` of the test part (None: all), as the network's examples."""
    held_out, test = data.val.part(slice(HELD_OUT)), data.test.part(slice(images))
    return (
        examples(denoise, data, held_out.pixels, held_out.labels, "val"),
        examples(denoise, data, test.pixels, test.labels, "test"),
    )


def bins(by_step: Tensor, estimate: Estimate) -> Terms:
    """(first step, last step, bits per dimension) of stretches of the chain; every step where all were computed."""
    T = len(by_step) - 1
    points = 40 if estimate.replicates else T
    edges = torch.logspace(0, torch.log10(torch.tensor(float(T))).item(), points).round().long().unique().tolist()
    if not estimate.replicates:
        edges = list(range(1, T + 1))
    lasts = [*(e - 1 for e in edges[1:]), T]
    return [(a, b, float(by_step[a : b + 1].sum())) for a, b in zip(edges, lasts, strict=True)]
