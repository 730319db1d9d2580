"""What is computed of images when: what turns weights into figures, for the end of a run and for scripts."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from difflab.data import ImageData, Indexed
from difflab.errors import ConfigError
from difflab.evaluation.completed import completed
from difflab.evaluation.distances import Counts, Distance, Memorisation, Names, Sets, described, neighbours
from difflab.evaluation.evaluation import Drawing, Evaluation, Metrics
from difflab.evaluation.likelihood import Likelihood, Scores
from difflab.evaluation.measure import measure
from difflab.evaluation.pictures import as_pictures
from difflab.evaluation.space import FeatureSpace
from difflab.evaluation.strip import strip
from difflab.features import Extracted, Extractor
from difflab.plots import PAIRED, image_grid
from difflab.prediction import Denoiser

MOST = 2000  # samples in a draw where nothing else is said
PAIRS = 32  # samples beside their nearest training images


class Protocol(Metrics):
    """Figures of images, and pictures; of other data pictures alone, where no figures are asked for.

    Args:
        likelihood: whether bits per dimension are computed.
        images: of the test part that they are computed of, the first ones; None for all.
        distances: by name, what is asked about samples in a feature space; None for nothing.
        samples: images in each draw; None for as many as the test part has, at most 2,000 or twice the features.
        draws: independent draws, for the standard error.
        force: whether covariances may come from fewer images than features.
        pictures: samples in the grids.
        every, budget: as in `Metrics`.
    """

    def __init__(
        self,
        likelihood: bool,
        images: int | None,
        distances: Mapping[str, Distance | None] | None,
        samples: int | None,
        draws: int,
        force: bool,
        pictures: int,
        every: int | None,
        budget: float,
    ) -> None:
        super().__init__(likelihood, pictures, every, budget)
        self.images, self.samples, self.draws, self.force = images, samples, draws, force
        self.distances = [one for one in (distances or {}).values() if one is not None]

    def draw(self, data: ImageData, dimension: int) -> int:
        """Samples in each draw, for so many features."""
        return (self.samples or min(len(data.test), max(MOST, 2 * dimension + 2))) if self.distances else 0

    def prepare(self, extractor: Extractor, data: Indexed, cache: Path, device: torch.device) -> FeatureSpace | None:
        if not isinstance(data, ImageData):
            if self.likelihood or self.distances:
                name = type(data).__name__
                raise ConfigError(f"metrics: figures of images; allowed for data of {name} are points, none")
            return None
        if not self.distances:
            return None
        self.check(extractor, data)
        space = FeatureSpace(extractor, data, cache)
        space.prepare(device)
        self.check(extractor, data)  # some dimensions are known only now
        return space

    def check(self, extractor: Extractor, data: ImageData) -> None:
        """Whether there are images enough."""
        n, d = self.draw(data, extractor.dimension), extractor.dimension
        counts = Counts(n, self.draws, len(data.reference), len(data.test), d)
        for distance in self.distances:
            distance.check(counts, self.force)

    def evaluate(
        self,
        denoise: Denoiser,
        data: ImageData,
        likelihood: Likelihood,
        drawing: Drawing,
        space: FeatureSpace | None,
        scores: Scores | None = None,
    ) -> Evaluation:
        begun = time.monotonic()
        denoise.eval()
        with torch.inference_mode():
            if scores is None and self.likelihood:
                scores = self.score(denoise, data, likelihood, drawing.seed)
            drawn = self.sample(denoise, data, drawing, space)
        figures = (scores.figures if scores else {}) | drawn.figures
        named = {f"test/{name}": value for name, value in figures.items()}
        named["seconds/evaluate"] = time.monotonic() - begun
        return Evaluation(named, scores.terms if scores else {}, drawn.pictures)

    def score(self, denoise: Denoiser, data: ImageData, likelihood: Likelihood, seed: int) -> Scores:
        """Bits per dimension of the test part."""
        measure(likelihood, denoise, data)
        return likelihood.figures(denoise, data, self.images, seed)

    def sample(self, denoise: Denoiser, data: ImageData, drawing: Drawing, space: FeatureSpace | None) -> Evaluation:
        """Samples, and every distance from one pass over them."""
        n = self.draw(data, space.extractor.dimension) * self.draws if space is not None else 0
        wanted = max(n, self.pictures)
        if not wanted:
            return Evaluation()
        samples, calls = drawing.draw(denoise, data, wanted)
        figures: dict[str, float] = {"network_calls": calls}
        drawn = {}
        if self.pictures:
            drawn["samples"] = self.picture(samples[: self.pictures], data)
            drawn["denoising"] = strip(denoise, drawing.sampler, data, drawing.seed, drawing.asked)
            beside = completed(samples[: self.pictures], data, drawing.asked)
            drawn |= {} if beside is None else {"completed": beside}
        if space is not None:
            pictures = as_pictures(samples, data)
            features = space.of(lambda where: pictures[where], n, "the samples")
            sets = Sets(features, space.train, space.test, self.draws, self.force)
            names = Names.of(space.extractor)
            for distance in self.distances:
                figures |= distance.figures(sets, names)
            figures |= described(space.extractor, sets) | told_apart(features, drawing, n)
            if any(isinstance(one, Memorisation) for one in self.distances):
                index = neighbours(sets, PAIRS)
                real = data.scaling.picture(data.reference.pixels[index])
                pairs = torch.stack([pictures[: len(real)], real], 1).flatten(0, 1)
                drawn["nearest_training_images"] = partial(image_grid, data.viewed(pairs), columns=PAIRED)
        return Evaluation(figures, pictures=drawn)


def told_apart(features: Extracted, drawing: Drawing, n: int) -> dict[str, float]:
    """The share of samples that the extractor's classifier puts into the class that was asked for, where there is one.

    The standard error is that of a share of independent samples.
    """
    asked = drawing.asked
    labels = None if asked is None else asked.labels(range(n))
    if asked is None or labels is None or features.logits is None or features.logits.shape[1] != asked.data.classes:
        return {}
    share = float((features.logits.argmax(1) == labels).double().mean())
    return {"asked_class_share": share, "asked_class_share_stderr": (share * (1 - share) / n) ** 0.5}
