"""What is computed when: the one place that turns weights into figures, for the end of a run and for scripts."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from difflab.data import ImageData, Images
from difflab.errors import ConfigError
from difflab.evaluation import distances
from difflab.evaluation.generate import generate
from difflab.evaluation.likelihood import Likelihood, bins
from difflab.evaluation.measure import measure
from difflab.features import Extractor
from difflab.prediction import Denoiser
from difflab.samplers import Sampler

MOST = 2000  # samples in a draw where nothing else is said


@dataclass(frozen=True)
class Evaluation:
    """Figures by name, the terms of the bound (first step, last step, bits per dimension), and one chunk of samples."""

    figures: dict[str, float] = field(default_factory=dict)
    terms: list[tuple[int, int, float]] = field(default_factory=list)
    samples: Tensor | None = None


@dataclass(frozen=True)
class Protocol:
    """metrics=: which figures are computed at the end of a run, and which pictures are drawn on the way.

    Args:
        likelihood: whether bits per dimension are computed.
        images: of the test part that they are computed of, the first ones; None for all.
        distances: whether a distance in feature space is computed.
        samples: images in each draw of the distance; None for as many as the test part has, 2,000 at most.
        draws: independent draws, for the standard error.
        pictures: samples in the grids.
        every: optimizer steps between two grids; None for one at the end only.
    """

    likelihood: bool
    images: int | None
    distances: bool
    samples: int | None
    draws: int
    pictures: int
    every: int | None

    def prepare(self, extractor: Extractor, data: ImageData, cache: Path) -> None:
        """Refuse before training what could not be computed after it, and get the extractor ready.

        Raises:
            ConfigError: with the reason.
        """
        if self.distances:
            fewest, d = min(self.samples or MOST, len(data.test)), extractor.dimension
            if fewest <= d:
                raise ConfigError(
                    f"metrics.samples: {fewest} images, of {len(data.test)} in the test part; a Frechet distance on "
                    f"{d} features needs more than {d}; allowed are more images, or metrics.distances=false"
                )
            scale, parts = data.scaling.picture, (data.reference, data.test)
            train, test = (Images(scale(part.pixels), part.labels) for part in parts)
            extractor.prepare(train, test, data.classes, data.fingerprint(), cache)

    def evaluate(
        self,
        denoise: Denoiser,
        data: ImageData,
        likelihood: Likelihood,
        sampler: Sampler,
        extractor: Extractor,
        seed: int,
        chunk: int,
    ) -> Evaluation:
        """Every figure that is asked for, of the weights that `denoise` holds; on every process, with equal results."""
        begun, figures, terms = time.monotonic(), {}, []
        denoise.eval()
        with torch.inference_mode():
            if self.likelihood:
                measure(likelihood, denoise, data)
                figures, by_step = likelihood.figures(denoise, data, self.images, seed)
                terms = bins(by_step, likelihood.estimate)
            n = (self.samples or min(len(data.test), MOST)) * self.draws if self.distances else 0
            wanted = max(n, self.pictures)
            samples = None
            if wanted:
                measure(sampler, denoise, data)
                samples, figures["network_calls"] = generate(denoise, sampler, data.shape, wanted, seed, chunk)
            if self.distances and samples is not None:
                figures |= distances.figures(data, extractor, samples[:n], self.draws)
        named = {f"test/{name}": value for name, value in figures.items()}
        named["seconds/evaluate"] = time.monotonic() - begun
        return Evaluation(named, terms, None if samples is None else samples[: self.pictures])
