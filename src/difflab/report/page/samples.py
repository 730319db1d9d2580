"""Sample grids of all variants beside each other, each from the same noise."""

from collections.abc import Mapping
from typing import NamedTuple

from difflab.report.model import Report, Run, Variant
from difflab.report.page.pictures import Picture

LAST = "last"


class Shot(NamedTuple):
    """A picture of a run, by what a reader chooses among."""

    seed: str
    step: int
    last: bool
    run: Run
    picture: Picture


class Samples(NamedTuple):
    """Seeds and steps to choose among, and the shots of each variant that has any."""

    seeds: tuple[str, ...]
    steps: tuple[int, ...]
    shots: tuple[tuple[Variant, tuple[Shot, ...]], ...]


def samples(report: Report, pictures: Mapping[str, Mapping[int, Picture]]) -> Samples:
    """What the runs of the variants have."""
    shots = [
        (variant, tuple(shot for run in variant.runs for shot in of_run(run, pictures))) for variant in report.variants
    ]
    shots = [(variant, own) for variant, own in shots if own]
    every = [shot for _, own in shots for shot in own]
    seeds = sorted({shot.seed for shot in every}, key=lambda seed: (len(seed), seed))
    return Samples(tuple(seeds), tuple(sorted({shot.step for shot in every})), tuple(shots))


def of_run(run: Run, pictures: Mapping[str, Mapping[int, Picture]]) -> list[Shot]:
    """The pictures of a run; one without a seed is chosen by its name."""
    own = pictures.get(run.name, {})
    seed = run.name if run.seed is None else str(run.seed)
    return [Shot(seed, step, step == max(own), run, picture) for step, picture in sorted(own.items())]
