"""What every option of metrics= is, what it is given, and what it gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.data import Indexed
from difflab.evaluation.asked import Asked
from difflab.evaluation.generate import Generation, generate
from difflab.evaluation.likelihood import Likelihood, Scores, Terms
from difflab.evaluation.measure import measure
from difflab.evaluation.pictures import picture
from difflab.evaluation.space import FeatureSpace
from difflab.evaluation.store import Store
from difflab.features import Extractor
from difflab.prediction import Denoiser
from difflab.samplers import Sampler

A_STEP = 3  # network calls that an optimizer step counts for each example: forward and backward


@dataclass(frozen=True)
class Drawing:
    """How samples are drawn.

    Attributes:
        sampler: with its grid.
        seed: sample i is a function of it and i.
        chunk: samples the network sees at once.
        store: where chunks are kept until all are there; None for nowhere.
        asked: of each sample; None for nothing.
        precision: of the network; see `generate`.
    """

    sampler: Sampler
    seed: int
    chunk: int
    store: Store | None = None
    asked: Asked | None = None
    precision: str = "32-true"

    def draw(self, denoise: Denoiser, data: Indexed, n: int) -> Generation:
        """Samples number 0 .. n - 1."""
        measure(self.sampler, denoise, data)
        more: dict[str, Any] = {"store": self.store, "asked": self.asked, "precision": self.precision}
        return generate(denoise, self.sampler, data.shape, n, self.seed, self.chunk, **more)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        figures: by name.
        terms: of each bound, the one that counts first: first step, last step, bits per dimension.
        pictures: by file name without its ending, what draws a picture into a path; it can be sent to another process.
    """

    figures: dict[str, float] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    pictures: dict[str, Callable[[Path], None]] = field(default_factory=dict)


class Metrics(ABC):
    """metrics=: which figures are computed at the end of a run and on the way, and which pictures are drawn.

    Args:
        likelihood: whether bits per dimension are computed.
        pictures: samples in a picture.
        every: optimizer steps between two looks on the way; None for none.
        budget: network calls of a look on the way, as a share of those of the training between two looks.
    """

    def __init__(self, likelihood: bool, pictures: int, every: int | None, budget: float) -> None:
        self.likelihood, self.pictures, self.every, self.budget = likelihood, pictures, every, budget

    @abstractmethod
    def prepare(self, extractor: Extractor, data: Indexed, cache: Path, device: torch.device) -> FeatureSpace | None:
        """Refuse before training what could not be computed after it, and get ready what all evaluations share.

        Raises:
            ConfigError: with the reason.
        """

    @abstractmethod
    def evaluate(
        self,
        denoise: Denoiser,
        data: Indexed,
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

    @abstractmethod
    def score(self, denoise: Denoiser, data: Indexed, likelihood: Likelihood, seed: int) -> Scores:
        """Bits per dimension of the test part, where `likelihood` says that they are computed."""

    def picture(self, samples: Tensor, data: Indexed) -> Callable[[Path], None]:
        """What draws these samples into a path.

        Raises:
            ConfigError: for a sample that is not finite, by its number.
        """
        return picture(samples, data)

    def calls_on_the_way(self, examples: int) -> int:
        """Network calls, on single examples, that a look on the way may take.

        Args:
            examples: in an optimizer step.
        """
        return int(self.budget * A_STEP * examples * (self.every or 0))
