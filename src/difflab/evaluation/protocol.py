"""What is computed when: the one place that turns weights into figures, for the end of a run and for scripts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation.distances import Counts, Distance, Memorisation, Names, Sets, described, neighbours
from difflab.evaluation.generate import generate
from difflab.evaluation.likelihood import Likelihood, Scores, Terms
from difflab.evaluation.measure import measure
from difflab.evaluation.space import FeatureSpace
from difflab.evaluation.store import Store
from difflab.features import Extractor
from difflab.prediction import Denoiser
from difflab.samplers import Sampler

MOST = 2000  # samples in a draw where nothing else is said
PAIRS = 32  # samples beside their nearest training images
A_STEP = 3  # network calls that an optimizer step counts for each image: forward and backward


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn.

    Attributes:
        sampler: with its grid.
        seed: sample i is a function of it and i.
        chunk: samples the network sees at once.
        store: where chunks are kept until all are there; None for nowhere.
    """

    sampler: Sampler
    seed: int
    chunk: int
    store: Store | None = None


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        figures: by name.
        terms: of each bound, the one that counts first: first step, last step, bits per dimension.
        pictures: the first samples, 8-bit, [n, C, H, W].
        pairs: samples, each followed by its nearest training image.
    """

    figures: dict[str, float] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    pictures: Tensor | None = None
    pairs: Tensor | None = None


class Protocol:
    """metrics=: which figures are computed at the end of a run and on the way, and which pictures are drawn.

    Args:
        likelihood: whether bits per dimension are computed.
        images: of the test part that they are computed of, the first ones; None for all.
        distances: by name, what is asked about samples in a feature space; None for nothing.
        samples: images in each draw; None for as many as the test part has, at most 2,000 or twice the features.
        draws: independent draws, for the standard error.
        force: whether covariances may come from fewer images than features.
        pictures: samples in the grids.
        every: optimizer steps between two looks on the way; None for none.
        budget: network calls of a look on the way, as a share of those of the training between two looks.
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
        self.likelihood, self.images, self.samples, self.draws = likelihood, images, samples, draws
        self.distances = [one for one in (distances or {}).values() if one is not None]
        self.force, self.pictures, self.every, self.budget = force, pictures, every, budget

    def draw(self, data: ImageData, dimension: int) -> int:
        """Samples in each draw, for so many features."""
        return (self.samples or min(len(data.test), max(MOST, 2 * dimension + 2))) if self.distances else 0

    def prepare(self, extractor: Extractor, data: ImageData, cache: Path, device: torch.device) -> FeatureSpace | None:
        """Refuse before training what could not be computed after it, and get extractor and features of the data.

        Raises:
            ConfigError: with the reason.
        """
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
        """Every figure that is asked for, of the weights that `denoise` holds; on every process, with equal results.

        Args:
            likelihood, drawing, space: how each is computed; the space of `prepare`.
            scores: bits per dimension that are known already.

        Raises:
            ConfigError: for samples that are not finite, by their number.
        """
        begun = time.monotonic()
        denoise.eval()
        with torch.inference_mode():
            if scores is None and self.likelihood:
                scores = self.score(denoise, data, likelihood, drawing.seed)
            drawn = self.sample(denoise, data, drawing, space)
        figures = (scores.figures if scores else {}) | drawn.figures
        named = {f"test/{name}": value for name, value in figures.items()}
        named["seconds/evaluate"] = time.monotonic() - begun
        return Evaluation(named, scores.terms if scores else {}, drawn.pictures, drawn.pairs)

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
        measure(drawing.sampler, denoise, data)
        samples, calls = generate(
            denoise, drawing.sampler, data.shape, wanted, drawing.seed, drawing.chunk, store=drawing.store
        )
        pictures = as_pictures(samples, data)
        figures: dict[str, float] = {"network_calls": calls}
        pairs = None
        if space is not None:
            drawn = space.of(lambda where: pictures[where], n, "the samples")
            sets = Sets(drawn, space.train, space.test, self.draws, self.force)
            names = Names.of(space.extractor)
            for distance in self.distances:
                figures |= distance.figures(sets, names)
            figures |= described(space.extractor, sets)
            if any(isinstance(one, Memorisation) for one in self.distances):
                index = neighbours(sets, PAIRS)
                real = data.scaling.picture(data.reference.pixels[index])
                pairs = torch.stack([pictures[: len(real)], real], 1).flatten(0, 1)
        return Evaluation(figures, pictures=pictures[: self.pictures].clone(), pairs=pairs)

    def calls_on_the_way(self, images: int) -> int:
        """Network calls, on single images, that a look on the way may take.

        Args:
            images: in an optimizer step.
        """
        return int(self.budget * A_STEP * images * (self.every or 0))


def as_pictures(samples: Tensor, data: ImageData) -> Tensor:
    """Samples as 8-bit pictures: clamped, scaled, rounded, by the data's own scaling.

    Raises:
        ConfigError: for a sample that is not finite, by its number.
    """
    try:
        return data.scaling.picture(data.scaling.decode(samples))
    except ValueError as error:
        raise ConfigError(
            f"samples: {error}; try another sampler or more sampler.steps, or look at the weights"
        ) from error
