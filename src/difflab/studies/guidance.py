"""What the scale of classifier-free guidance does to fidelity and diversity, on the data of a run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace, as_pictures
from difflab.evaluation.distances import Names
from difflab.features import Extracted
from difflab.guidance import ClassifierFree
from difflab.metrics import Reference, moments, precision_recall
from difflab.plots import Curve, image_grid
from difflab.plots.curves import words
from difflab.plots.guidance import guidance as picture
from difflab.runs.assemble import Parts
from difflab.runs.load import Run
from difflab.runs.paths import cache_folder

COLUMNS = 10  # of the picture of samples
KINDS = ("frechet", "precision", "recall", "asked_class")


class Row(NamedTuple):
    """The figures of one draw at one scale, by kind."""

    scale: float
    draw: int
    figures: dict[str, float]


class Guidance:
    """Frechet distance, precision, recall and the share of samples of the asked class against the guidance scale.

    Precision is the share of samples among real images and stands for fidelity, recall the share of real images among
    samples and for diversity (Kynkaanniemi et al., 2019): guidance trades one for the other (Ho & Salimans, 2022,
    Figure 1). All scales start from the same noise and ask for the same classes, as frequent as in the data. The class
    of a sample is what the feature extractor takes it for, where its classes are those of the data.

    Args:
        scales: in rising order.
        sigma_min, sigma_max, rescale: as in `guidance=classifier_free`.
        samples: in each draw.
        draws: at each scale.
        k: neighbours of precision and recall.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = False

    def __init__(
        self,
        scales: Sequence[float],
        sigma_min: float,
        sigma_max: float,
        rescale: float,
        samples: int,
        draws: int,
        k: int,
    ) -> None:
        if not scales or list(scales) != sorted(set(scales)):
            raise ConfigError(f"study.scales: {list(scales)}; allowed are one or more rising numbers from 0")
        for field, value in (("samples", samples), ("draws", draws), ("k", k)):
            if value < 1:
                raise ConfigError(f"study.{field}: {value}; allowed are whole numbers from 1")
        if k >= samples:
            raise ConfigError(f"study.k: {k}; allowed are 1 to {samples - 1}, below study.samples")
        self.samples, self.draws, self.k = samples, draws, k
        try:
            self.guidances = {float(w): ClassifierFree(float(w), sigma_min, sigma_max, rescale) for w in scales}
        except ValueError as error:
            raise ConfigError(str(error).replace("guidance.", "study.", 1)) from error

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        if not isinstance(parts.data, ImageData):
            raise ConfigError("study: guidance; it compares images in a feature space; allowed with data of images")
        try:
            ClassifierFree(2.0, 0.0, 1.0, 0.0).check(parts.denoiser.conditioning)
        except ValueError:
            raise ConfigError(
                "study: guidance; this network is not told a condition, or always: allowed are runs with "
                "condition=classes and the like, and condition.drop above 0"
            ) from None
        d, most = parts.extractor.dimension, min(len(parts.data.reference), len(parts.data.test))
        if not d < self.samples <= most:
            raise ConfigError(f"study.samples: {self.samples}; allowed are {d + 1} to {most}, the test part")

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        (run,) = runs
        data = run.parts.data
        assert isinstance(data, ImageData)
        space = FeatureSpace(run.parts.extractor, data, cache_folder(run.config["cache"]))
        space.prepare(run.parts.denoiser.device)
        n = self.draws * self.samples
        asked = run.parts.asked(run.config["generation"]["seed"]).labels(range(n))
        judge = Judge(space, self.samples, self.k)
        rows, shown = [], []
        columns = min(data.classes or COLUMNS, COLUMNS) if asked is not None else COLUMNS
        for scale, guidance in self.guidances.items():
            pictures = as_pictures(run.sample(n, guidance=guidance), data)
            drawn = space.of(lambda where, p=pictures: p[where], n, f"samples at scale {scale:g}")
            rows += [Row(scale, i, judge(share, labels)) for i, share, labels in parted(drawn, asked, self.draws)]
            classes = None if asked is None else range(columns)
            shown.append(as_pictures(run.sample(columns, classes=classes, guidance=guidance), data))
        write(rows, folder / "guidance.csv")
        image_grid(data.viewed(torch.cat(shown)), folder / "guidance_samples.png", columns=columns)
        test = Extracted(space.test.features[: self.samples], None)
        floor, called = judge(test, None)["frechet"], names(space)
        picture(curves(rows, called), {called["frechet"]: floor}, folder / "guidance.png")
        return {"guidance/frechet_floor": floor} | figures(rows)


class Judge:
    """The figures of a draw of samples.

    Args:
        space: prepared.
        samples: how many real images precision and recall are computed from.
        k: their neighbours.
    """

    def __init__(self, space: FeatureSpace, samples: int, k: int) -> None:
        self.reference = Reference(*moments(space.train.features))
        self.real, self.k = space.train.features[:samples], k
        self.classes = space.data.classes

    def __call__(self, drawn: Extracted, asked: Tensor | None) -> dict[str, float]:
        """By kind; the share of the asked class only where the extractor knows the classes."""
        precision, recall = precision_recall(drawn.features, self.real, self.k)
        found = {"frechet": self.reference.distance(*moments(drawn.features)), "precision": precision, "recall": recall}
        if asked is not None and drawn.logits is not None and drawn.logits.shape[1] == self.classes:
            found["asked_class"] = float((drawn.logits.argmax(1) == asked).double().mean())
        return found


def parted(drawn: Extracted, asked: Tensor | None, draws: int) -> list[tuple[int, Extracted, Tensor | None]]:
    """Number, features and asked classes of each draw."""
    features = drawn.features.chunk(draws)
    logits = [None] * draws if drawn.logits is None else drawn.logits.chunk(draws)
    labels = [None] * draws if asked is None else asked.chunk(draws)
    return [(i, Extracted(features[i], logits[i]), labels[i]) for i in range(draws)]


def names(space: FeatureSpace) -> dict[str, str]:
    """What the axes of the picture are called, by kind."""
    return {
        "frechet": words(f"test/{Names.of(space.extractor).frechet}"),
        "precision": "precision (fidelity) and recall (diversity)",
        "recall": "recall",
        "asked_class": "share of samples of the asked class",
    }


def along(rows: Sequence[Row], kind: str) -> dict[float, tuple[float, float]]:
    """By scale the mean of a kind over the draws and its error, nan for a single draw; empty where there is none."""
    found: dict[float, list[float]] = {}
    for row in rows:
        if kind in row.figures:
            found.setdefault(row.scale, []).append(row.figures[kind])
    return {w: (fmean(v), stdev(v) / len(v) ** 0.5 if len(v) > 1 else float("nan")) for w, v in found.items()}


def curves(rows: Sequence[Row], called: Mapping[str, str]) -> dict[str, list[Curve]]:
    """By axis: precision and recall share one."""
    found: dict[str, list[Curve]] = {}
    for kind in KINDS:
        points = along(rows, kind)
        if points:
            values, errors = zip(*points.values(), strict=True)
            axis = called["precision" if kind == "recall" else kind]
            name = kind if kind in ("precision", "recall") else ""
            found.setdefault(axis, []).append(Curve(name, list(points), values, errors))
    return found


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Means with their errors, and the scale at the least distance."""
    found = {}
    for kind in KINDS:
        for scale, (mean, error) in along(rows, kind).items():
            key = f"guidance/{kind}_{scale:g}"
            found |= {key: mean} | ({f"{key}_stderr": error} if error == error else {})
    distances = along(rows, "frechet")
    return found | {"guidance/best_scale": min(distances, key=lambda scale: distances[scale][0])}


def write(rows: Sequence[Row], path: Path) -> None:
    """The figures of every draw."""
    kinds = [kind for kind in KINDS if kind in rows[0].figures]
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["scale", "draw", *kinds])
        table.writerows([f"{row.scale:g}", row.draw, *(f"{row.figures[kind]:.6g}" for kind in kinds)] for row in rows)
