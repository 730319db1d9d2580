"""What a report is made of: runs as their folders tell, what sets them apart, and what the figures say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A run folder as it was read; what could not be read is empty.

    Attributes:
        path: of the folder.
        name: unique in the report: its place below what was asked for, such as the number of a job in its sweep.
        state: done, running, failed, refused, interrupted, preempted, missing (a job of a sweep that has not begun), or
            unreadable.
        reason: why, where it is not done.
        seed: None where unknown.
        settings: every value of the config as text, by dotted field; a group by the name of its option.
        typed: the overrides of its command line, in order, FIELD=VALUE.
        figures: metrics.json: the final figures by key; empty for a run that has not ended.
        curves: metrics.csv: by figure, its steps and values, without gaps.
        terms: bound_terms.csv: first step, last step and bits per dimension of each stretch of the chain.
        evaluations: lines of evaluations.jsonl.
        environment: environment.json.
        pictures: samples/: by step, a grid from the same noise in each run.
        seconds: it took, by status.json.
    """

    path: Path
    name: str
    state: str
    reason: str = ""
    seed: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    typed: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    terms: tuple[tuple[int, int, float], ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[int, Path] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def done(self) -> bool:
        """Whether its figures count."""
        return self.state == "done" and bool(self.figures)


@dataclass(frozen=True)
class Variant:
    """Runs that differ in their seed alone.

    Attributes:
        name: what sets it apart, such as "schedule=cosine loss=vlb", or the value alone where one field varies.
        levels: its value of each factor.
        runs: those that are done; empty where none is.
        lost: those of the same settings that are not done, whether they have ended or not.
    """

    name: str
    levels: Mapping[str, str]
    runs: tuple[Run, ...]
    lost: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A figure that variants are compared by.

    Attributes:
        key: in metrics.json.
        title: what a reader calls it.
        higher: whether more is better.
        floor: what real data has, where that is known; nan elsewhere.
    """

    key: str
    title: str
    higher: bool = False
    floor: float = nan


@dataclass(frozen=True)
class Cell:
    """A figure of a variant.

    Attributes:
        values: by seed, the mean of its runs (by "run NAME", for a run without a seed).
        mean: of them; nan for none.
        half: half the width of its 95% t-interval over seeds; nan for n < 2.
        best: whether no variant that it can be compared with has a better mean; not so where there is no other.
        p: of no difference to the best, Holm-adjusted among all pairs of this figure; nan for the best, and where
            nothing tells.
        stderr: mean over the runs of the Monte-Carlo standard error within a run; nan where unknown.
        of: seeds that there are, also those whose runs are not done or lack the figure.
        against: the name of the best that it is compared with; empty for the best, and where there is no other.
        ahead: by how much it is better than the best on the seeds that both have, where the pair is tested on these,
            though its mean is worse; nan elsewhere.
    """

    values: Mapping[str, float]
    mean: float
    half: float
    best: bool
    p: float
    stderr: float = nan
    of: int = 0
    against: str = ""
    ahead: float = nan

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def like_best(self) -> bool:
        """Whether it is compared with the best, and cannot be told from it."""
        return self.p > 0.05 or self.ahead > 0

    @property
    def untold(self) -> bool:
        """Whether nothing tells if it differs from the best."""
        return bool(self.against) and self.p != self.p and not self.like_best


@dataclass(frozen=True)
class Pair:
    """The difference of two variants in one figure, a - b.

    Attributes:
        mean, half: of the difference, and half its 95% interval (not adjusted); nan where nothing tells.
        n: pairs of runs that share a seed; 0 where the test is of two independent samples.
        p, holm: two-sided p-value of no difference, and adjusted (Holm, 1979) among all pairs of this figure.
        test: "paired t" or "Welch's t"; pairs where neither can be done are left out.
    """

    metric: str
    a: str
    b: str
    mean: float
    half: float
    n: int
    p: float
    holm: float
    test: str


@dataclass(frozen=True)
class Effect:
    """What a level of a factor does against another one, averaged over all settings of the other factors.

    Attributes:
        mean, half: of the difference level - reference, and half its 95% interval over seeds; nan where nothing tells.
        n: seeds that both have; 0 where the test is of two independent samples, and where nothing tells.
        cells: settings of the other factors, the same for both levels.
        p, holm: as in `Pair`, adjusted among the effects of this figure.
        of: settings of the other factors in which there is either level.
        where: those that it is averaged over, such as "schedule=linear".
    """

    metric: str
    factor: str
    level: str
    reference: str
    mean: float
    half: float
    n: int
    cells: int
    p: float
    holm: float
    of: int = 0
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything that the page and the files tell.

    Attributes:
        title: of the page.
        sources: what `runs=` named.
        runs: all of them, also those that are not done.
        factors: by field that varies, its levels in the order in which they were met.
        variants: in the order of their first run.
        metrics: that at least one of them has; the one that counts most first.
        cells: by key of the metric, by name of the variant.
        pairs, effects: of all metrics.
        problems: a line for each file or folder that could not be used, with the reason.
        command: that made the report; `made` when, `version` by which difflab.
        running: whether a run is still at work: the page then loads itself again.
    """

    title: str
    sources: tuple[str, ...]
    runs: tuple[Run, ...]
    factors: Mapping[str, tuple[str, ...]]
    variants: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    cells: Mapping[str, Mapping[str, Cell]]
    pairs: tuple[Pair, ...]
    effects: tuple[Effect, ...]
    problems: tuple[str, ...]
    command: str
    made: str
    version: str

    @property
    def running(self) -> bool:
        return any(run.state == "running" for run in self.runs)
