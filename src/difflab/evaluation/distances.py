"""What the protocol can ask about samples in a feature space; each figure with its number of images and its error."""

import statistics
from typing import NamedTuple, Protocol

import torch

from difflab.errors import ConfigError
from difflab.features import Extracted, Extractor
from difflab.metrics import (
    Reference,
    copied_share,
    frechet_at_infinity,
    inception_score,
    kernel_distance,
    mmd,
    moments,
    nearest,
    precision_recall,
)


class Counts(NamedTuple):
    """How many images there will be: in each draw of the samples, the draws, training part, test part; features."""

    samples: int
    draws: int
    train: int
    test: int
    dimension: int


class Sets(NamedTuple):
    """What distances are computed from.

    Attributes:
        samples: all draws one after the other.
        train: the reference.
        test: real images that are not in it.
        draws: how many.
        force: whether covariances may come from fewer images than features.
    """

    samples: Extracted
    train: Extracted
    test: Extracted
    draws: int
    force: bool


class Names(NamedTuple):
    """What figures are called: only those on the published Inception bear the names of the literature."""

    frechet: str
    kernel: str
    score: str
    mmd: str
    other: str

    @classmethod
    def of(cls, extractor: Extractor) -> "Names":
        own = extractor.name
        if extractor.published:
            return cls("fid", "kid", "is", f"mmd_{own}", own)
        return cls(f"fd_{own}", f"kd_{own}", f"is_{own}", "cmmd" if extractor.cmmd else f"mmd_{own}", own)


class Distance(Protocol):
    """A question about samples."""

    def check(self, counts: Counts, force: bool) -> None:
        """Refuse before any work what could not be computed after it.

        Raises:
            ConfigError: naming the field.
        """
        ...

    def figures(self, sets: Sets, names: Names) -> dict[str, float]: ...


class Frechet:
    """Frechet distance to the training part: mean over the draws, and the floor that real test images reach.

    Where the test part has fewer images than a draw, the distance of as few samples is reported beside the floor.

    Args:
        floor: whether the distance of test images is reported too.
    """

    def __init__(self, floor: bool) -> None:
        self.floor = floor

    def check(self, counts: Counts, force: bool) -> None:
        d = 1 if force else counts.dimension
        if self.floor and counts.test <= d:
            raise ConfigError(
                f"metrics.distances.frechet.floor: true; that of {counts.dimension} features needs more than {d} test "
                f"images, there are {counts.test}; allowed are false, another features=, or metrics.force=true"
            )
        if min(counts.samples, counts.train) <= d:
            raise ConfigError(
                f"metrics.samples: {counts.samples} images, {counts.train} in the training part; a Frechet distance on "
                f"{counts.dimension} features needs more than {d} of both; allowed are more, another features=, "
                "metrics.distances=null, or metrics.force=true"
            )

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        name, n = names.frechet, len(sets.samples.features) // sets.draws
        reference = Reference(*moments(sets.train.features, sets.force))
        each = [reference.distance(*moments(share, sets.force)) for share in sets.samples.features.chunk(sets.draws)]
        found = {name: statistics.fmean(each), f"{name}_samples": n, f"{name}_draws": sets.draws}
        if len(each) > 1:
            found[f"{name}_stderr"] = statistics.stdev(each) / len(each) ** 0.5
        if self.floor:
            real = sets.test.features[:n]
            found[f"{name}_floor"] = reference.distance(*moments(real, sets.force))
            found[f"{name}_floor_samples"] = m = len(real)
            if m < n:  # fewer images lie further off: the floor is that of as few samples
                few = [share[:m] for share in sets.samples.features.chunk(sets.draws)]
                found[f"{name}_at_floor"] = statistics.fmean(
                    reference.distance(*moments(share, sets.force)) for share in few
                )
        return found


class Infinity:
    """Frechet distance extrapolated to infinitely many samples.

    Args:
        seed: of the sub-samples.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def check(self, counts: Counts, force: bool) -> None:
        total = counts.samples * counts.draws
        least = max(40, 0 if force else 2 * counts.dimension + 2)
        if total < least:
            raise ConfigError(
                f"metrics.samples: {total} in all; an extrapolated Frechet distance on {counts.dimension} features "
                f"needs {least}; allowed are more, or metrics.distances.infinity=null"
            )

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        reference = moments(sets.train.features, sets.force)
        value, stderr = frechet_at_infinity(sets.samples.features, *reference, self.seed, sets.force)
        name = f"{names.frechet}_infinity"
        return {name: value, f"{name}_stderr": stderr, f"{name}_samples": len(sets.samples.features)}


class Kernel:
    """KID: mean and spread of the squared kernel distance over subsets of all samples and of the training part.

    Args:
        subsets: how many.
        size: images in each.
        seed: of the subsets.
    """

    def __init__(self, subsets: int, size: int, seed: int) -> None:
        self.subsets, self.size, self.seed = subsets, size, seed

    def check(self, counts: Counts, force: bool) -> None:
        most = min(counts.samples * counts.draws, counts.train)
        if self.size > most:
            raise ConfigError(
                f"metrics.distances.kernel.size: {self.size}; allowed are 2 to {most}, the images that there are"
            )

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        a, b = sets.samples.features, sets.train.features
        mean, spread = kernel_distance(a, b, self.subsets, self.size, self.seed)
        return {
            names.kernel: mean,
            f"{names.kernel}_spread": spread,
            f"{names.kernel}_subset_size": self.size,
            f"{names.kernel}_samples": len(a),
        }


class Score:
    """Inception Score of all samples: mean and spread over splits; nothing where an extractor has no classes.

    Args:
        splits: how many.
        seed: of the order.
    """

    def __init__(self, splits: int, seed: int) -> None:
        self.splits, self.seed = splits, seed

    def check(self, counts: Counts, force: bool) -> None:
        n = counts.samples * counts.draws
        if self.splits > n:
            raise ConfigError(f"metrics.distances.inception_score.splits: {self.splits}; allowed are 1 to {n}")

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        if sets.samples.logits is None:
            return {}
        mean, spread = inception_score(sets.samples.logits, self.splits, self.seed)
        found = {names.score: mean, f"{names.score}_spread": spread}
        return found | {f"{names.score}_samples": len(sets.samples.logits)}


class PrecisionRecall:
    """Precision and recall of as many samples as images of the training part, by k nearest neighbours.

    Args:
        k: neighbours.
        most: images of either side.
    """

    def __init__(self, k: int, most: int) -> None:
        self.k, self.most = k, most

    def check(self, counts: Counts, force: bool) -> None:
        n = min(counts.samples * counts.draws, counts.train, self.most)
        if self.k >= n:
            raise ConfigError(f"metrics.distances.precision_recall.k: {self.k}; allowed are 1 to {n - 1}")

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        n = min(len(sets.samples.features), len(sets.train.features), self.most)
        precision, recall = precision_recall(sets.samples.features[:n], sets.train.features[:n], self.k)
        own = names.other
        return {f"precision_{own}": precision, f"recall_{own}": recall, f"precision_{own}_samples": n}


class MaximumMeanDiscrepancy:
    """CMMD on CLIP's features, and the same on any others: a distance without Gaussians and without bias in N.

    Args:
        bandwidth: sigma of the kernel on features of norm 1.
    """

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth

    def check(self, counts: Counts, force: bool) -> None:
        pass

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        value = mmd(sets.samples.features, sets.train.features, self.bandwidth)
        return {names.mmd: value, f"{names.mmd}_samples": len(sets.samples.features)}


class Memorisation:
    """Whether samples lie nearer to training images than images of the test part do: 0.5 is as near, 1 copies."""

    def check(self, counts: Counts, force: bool) -> None:
        pass

    def figures(self, sets: Sets, names: Names) -> dict[str, float]:
        drawn, _ = nearest(sets.samples.features, sets.train.features)
        real, _ = nearest(sets.test.features, sets.train.features)
        share, stderr = copied_share(drawn, real)
        own = f"nearest_{names.other}"
        return {
            f"{own}_closer_share": share,
            f"{own}_closer_share_stderr": stderr,
            f"{own}_distance": float(drawn.median()),
            f"{own}_distance_real": float(real.median()),
            f"{own}_samples": len(drawn),
        }


def described(extractor: Extractor, sets: Sets) -> dict[str, float]:
    """What the extractor says about itself, about the samples and about as many real test images."""
    n = len(sets.samples.features) // sets.draws
    logits = sets.test.logits
    real = Extracted(sets.test.features[:n], None if logits is None else logits[:n])
    name = extractor.name
    found = {f"{name}_{key}": value for key, value in extractor.figures().items()}
    found |= {f"{name}_{key}": value for key, value in extractor.describe(sets.samples).items()}
    return found | {f"{name}_{key}_real": value for key, value in extractor.describe(real).items()}


def neighbours(sets: Sets, n: int) -> torch.Tensor:
    """For each of the first n samples the index of its nearest training image, [n]."""
    return nearest(sets.samples.features[:n], sets.train.features)[1]
