"""The figures of bits per dimension: published convention, its variants, and the truncated bound."""

from dataclasses import dataclass

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.evaluation.score import Scorer
from difflab.evaluation.truncation import choose, truncated_bits
from difflab.likelihood import Bound, Cells, Estimate, Scored
from difflab.prediction import Denoiser
from difflab.process import Forward, Posterior, Variance
from difflab.schedules import Schedule

HELD_OUT = 128


@dataclass(frozen=True)
class Likelihood:
    """likelihood=: how bits per dimension are computed, by the steps of a chain.

    Args:
        estimate: which terms of the bound are computed.
        variance: of the reverse steps, in the figure that counts.
        clip: whether x0_hat is clipped in it.
        batch: images the network sees at once.
    """

    estimate: Estimate
    variance: Variance
    clip: bool
    batch: int

    chain = True

    def bounds(self, schedule: Schedule, levels: int) -> dict[str, Scored]:
        """By name, the bound of these choices first, and beside it those of the other variance and clipping."""
        other = Forward() if isinstance(self.variance, Posterior) else Posterior()
        return {
            f"{type(v).__name__.lower()}_{'clipped' if c else 'unclipped'}": Bound(schedule, v, c, levels)
            for v in (self.variance, other)
            for c in (self.clip, not self.clip)
        }

    def scorer(self, denoise: Denoiser, levels: int, seed: int) -> Scorer:
        """The scorer of these choices, all bounds from the same network calls."""
        return Scorer(denoise, self.estimate, list(self.bounds(denoise.schedule, levels).values()), seed, self.batch)

    def figures(
        self, denoise: Denoiser, data: ImageData, images: int | None, seed: int
    ) -> tuple[dict[str, float], Tensor]:
        """Figures of the first `images` of the test part, and bits per dimension by step ([T + 1], prior first)."""
        scorer = self.scorer(denoise, data.levels, seed)
        held_out, test = (
            data.scaling.encode(part.pixels) for part in (data.val.part(slice(HELD_OUT)), data.test.part(slice(images)))
        )
        density = scorer.density(held_out[:32])
        end = choose(scorer, held_out, scorer.score(held_out, "val", density))
        sums = scorer.score(test, "test", density, beyond=end.k)
        truncated, truncated_stderr = truncated_bits(scorer, test, "test", sums, end)
        pilot = len(self.estimate.pilot(scorer.T)) * 32 / len(test)
        figures = {
            "bits_per_dim": sums.mean(),
            "bits_per_dim_stderr": sums.noise**0.5,
            "bits_per_dim_stderr_images": sums.image_stderr(),
            "bits_per_dim_prior": float(sums.by_step[0]),
            "bits_per_dim_decoder": float(sums.by_step[1]),
            "bits_per_dim_diffusion": float(sums.by_step[2:].sum()),
            "bits_per_dim_truncated": truncated,
            "bits_per_dim_truncated_stderr": truncated_stderr,
            "bits_per_dim_truncated_step": end.k,
            "bits_per_dim_truncated_width": end.std,
            "bits_per_dim_calls": self.estimate.calls(scorer.T) + pilot,
            "bits_per_dim_images": len(test),
        }
        for i, kind in enumerate(self.bounds(denoise.schedule, data.levels)):
            figures[f"bits_per_dim_{kind}"] = sums.mean(i)
        return figures, sums.by_step


@dataclass(frozen=True)
class Continuous(Likelihood):
    """The bound of continuous time (Kingma et al., 2021, Eq. 11), its integral cut into cells that the estimate draws.

    Args:
        estimate, variance, clip, batch: as above; the variance has no say in continuous time.
        cells: of equal width in t; an estimate that takes every cell draws one time in each.
    """

    cells: int

    chain = False

    def bounds(self, schedule: Schedule, levels: int) -> dict[str, Scored]:
        return {
            f"continuous_{'clipped' if c else 'unclipped'}": Cells(schedule, self.cells, c, levels)
            for c in (self.clip, not self.clip)
        }


def bins(by_step: Tensor, estimate: Estimate) -> list[tuple[int, int, float]]:
    """(first step, last step, bits per dimension) of stretches of the chain; every step where all were computed."""
    T = len(by_step) - 1
    points = 40 if estimate.replicates else T
    edges = torch.logspace(0, torch.log10(torch.tensor(float(T))).item(), points).round().long().unique().tolist()
    if not estimate.replicates:
        edges = list(range(1, T + 1))
    lasts = [*(e - 1 for e in edges[1:]), T]
    return [(a, b, float(by_step[a : b + 1].sum())) for a, b in zip(edges, lasts, strict=True)]
