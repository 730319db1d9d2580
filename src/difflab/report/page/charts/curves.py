"""Figures along the training, each variant's mean over seeds within the band of its seeds."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import plotly.graph_objects as go

from difflab.report.model import Report, Run, Variant
from difflab.report.page.charts.chart import Chart, Choice, Table, above, axis, line, meta
from difflab.report.page.charts.seeds import by_seed
from difflab.report.page.looks import Look
from difflab.report.page.provenance import varies
from difflab.report.page.words import key, number

POINTS, LEAST = 160, 30  # of a curve, more than which a plot of this size cannot show, and where there are very many
ALL = 60_000  # points of all curves of the page
FEW = 24  # points up to which each has a marker
HEIGHT = 420
WIDE = 6.0  # times the least value: the axis is logarithmic from there
FIRST = ("train/loss", "val/loss", "val/bits_per_dim", "train/grad_norm")  # in the list of figures
WITHIN = ("train/", "val/")  # names of figures that are curves
LOSSES = ("train/loss", "val/loss")  # and parts of them
BITS = "val/bits_per_dim"
DETAILS = ("_stderr", "_calls", "_images", "_samples", "_draws")


def curves(report: Report, looks: dict[str, Look]) -> Chart | None:
    """A figure for each name that is logged along the training; None where nothing is."""
    names = figures_of(report)
    if not names:
        return None
    other = varies(report.factors, "loss")
    if other and BITS in names:
        names = [BITS, *(name for name in names if name != BITS)]
    points = min(POINTS, max(LEAST, ALL // (len(names) * len(report.variants))))
    return Chart(
        "curves",
        "Training curves: mean over seeds of each variant, and the range of its seeds",
        "Lines are means over the seeds of a variant; the band reaches from the least to the greatest of them. Long "
        f"curves are drawn at {points} points: there a line is the mean of the rows that fall to a point, and the band "
        "holds all of them.",
        {name: panel(name, report.variants, looks, points, other) for name in names},
        (Choice("Figure", tuple((name, key(name)) for name in names)),),
        last(names, report.variants),
    )


def figures_of(report: Report) -> list[str]:
    """Names that some run has at least at two steps, the usual ones first."""
    runs = [run for variant in report.variants for run in variant.runs]
    found = {name for run in runs for name, (steps, _) in run.curves.items() if len(steps) > 1}
    found = {name for name in found if name.startswith(WITHIN) and not name.endswith(DETAILS)}
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def together(name: str, variant: Variant) -> tuple[list[int], np.ndarray]:
    """The steps that all seeds have (any of them has, where they share none), and the values [seeds, steps]."""
    logged = [mean_of(runs, name) for runs in by_seed(run for run in variant.runs if name in run.curves).values()]
    if not logged:
        return [], np.zeros((0, 0))
    steps = sorted(set.intersection(*map(set, logged))) or sorted(set.union(*map(set, logged)))
    values = np.array([[values.get(step, np.nan) for step in steps] for values in logged])
    kept = np.flatnonzero(np.isfinite(values).any(axis=0))
    return [steps[i] for i in kept], values[:, kept]


def mean_of(runs: Sequence[Run], name: str) -> dict[int, float]:
    """By step, the mean over runs of one seed."""
    found: dict[int, list[float]] = {}
    for run in runs:
        for step, value in zip(*run.curves[name], strict=True):
            found.setdefault(step, []).append(value)
    return {step: fmean(values) for step, values in found.items()}


def thinned(steps: Sequence[int], values: np.ndarray, points: int) -> np.ndarray:
    """Rows of mean steps, means over seeds, least and greatest values, of at most so many stretches."""
    n = min(points, len(steps))
    starts = np.arange(n) * len(steps) // n
    counts = np.diff([*starts, len(steps)])
    mean = np.add.reduceat([np.asarray(steps, float), np.nanmean(values, axis=0)], starts, axis=1) / counts
    low = np.minimum.reduceat(np.nanmin(values, axis=0), starts)
    return np.vstack([mean, low, np.maximum.reduceat(np.nanmax(values, axis=0), starts)])


def panel(name: str, variants: Sequence[Variant], looks: dict[str, Look], points: int, other: bool) -> go.Figure:
    """One figure: bands below, lines above; `other` is whether variants have different kinds of loss."""
    bands, lines, drawn = [], [], []
    for variant in variants:
        steps, values = together(name, variant)
        if not steps:
            continue
        look, n = looks[variant.name], len(values)
        x, mean, low, high = thinned(steps, values, points)
        if n > 1:
            bands.append(band(look, x, low, high))
        lines.append(curve(look, x, mean, n))
        drawn += [low.min(), high.max()]
    scales = " (losses of different kinds have different scales)" if other and name.startswith(LOSSES) else ""
    layout = above(f"{key(name)}{scales}", HEIGHT, xaxis=axis("step"), yaxis=axis(values=drawn, ratio=WIDE))
    return go.Figure([*bands, *lines], layout)


def curve(look: Look, x: np.ndarray, mean: np.ndarray, n: int) -> go.Scatter:
    """The line of a variant."""
    seeds = f"mean of {n} seeds" if n > 1 else "1 seed"
    trace = line(look, x.astype(np.float32), mean.astype(np.float32), markers=len(x) <= FEW)
    trace.hovertemplate = f"%{{fullData.name}}<br>step %{{x:,.0f}}: %{{y:.4~g}} ({seeds})<extra></extra>"
    return trace


def band(look: Look, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> go.Scatter:
    """What lies between the least and the greatest of the seeds."""
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]).astype(np.float32),
        y=np.concatenate([high, low[::-1]]).astype(np.float32),
        fill="toself",
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        name=look.label,
        meta=meta(look),
    )


def last(names: Sequence[str], variants: Sequence[Variant]) -> Table:
    """The last value of each curve."""
    rows = []
    for variant in variants:
        row = [variant.name]
        for name in names:
            steps, values = together(name, variant)
            row.append(f"{number(float(np.nanmean(values[:, -1])))} (n = {len(values)})" if steps else "–")
        rows.append(tuple(row))
    return Table(("variant, last values", *map(key, names)), tuple(rows))
