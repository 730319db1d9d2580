"""Bits along the time of the chain: where along the noise the bound is paid."""

from collections.abc import Iterable
from math import sqrt
from statistics import fmean
from typing import NamedTuple

import plotly.graph_objects as go

from difflab.report.model import Report, Run, Variant
from difflab.report.page.charts.chart import Chart, Table, above, axis, line
from difflab.report.page.charts.seeds import by_seed
from difflab.report.page.looks import Look
from difflab.report.page.words import number

HEIGHT = 420
LONG = 50  # steps of a chain from which the axis is logarithmic
FINEST = 1e-5  # of the greatest value: what is below would press all others together
ROWS = 60  # of the table


class Stretch(NamedTuple):
    """First and last step, and the steps of the whole chain."""

    first: int
    last: int
    chain: int

    @property
    def length(self) -> float:
        """In time, of which the whole chain is 1."""
        return (self.last - self.first + 1) / self.chain

    @property
    def middle(self) -> float:
        """Its time, k / T, in the middle of a logarithmic axis."""
        return sqrt(self.first * self.last) / self.chain

    @property
    def words(self) -> str:
        steps = f"step {self.first}" if self.first == self.last else f"steps {self.first} to {self.last}"
        return f"t = {self.middle:.3g} ({steps} of {self.chain:,})"


def terms(report: Report, looks: dict[str, Look]) -> Chart | None:
    """Bits per unit of time against time; None where no run has them."""
    by_variant = {variant.name: means(variant) for variant in report.variants}
    found = {name: values for name, values in by_variant.items() if values}
    if not found:
        return None
    every = [bits for values in found.values() for bits in values.values()]
    greatest, least = max(every), min(every)
    caption = (
        "t = k / T is the place of step k in a chain of T steps, 0 next to the data. Each point is a stretch of the "
        "chain: its bits/dim divided by its length in t, the mean over seeds, so that chains of different T can be "
        "compared; the integral of a line over t is the bound without its prior term."
    )
    if least < FINEST * greatest:
        caption += f" Values below {FINEST * greatest:.1g} are not drawn; the table has them."
    longest = max(stretch.chain for values in found.values() for stretch in values)
    figure = go.Figure(
        [trace(looks[name], values, FINEST * greatest) for name, values in found.items()],
        above(
            "Bits/dim per unit of t",
            HEIGHT,
            xaxis=axis("t = k / T", (1 / longest, 1), LONG),
            yaxis=axis(values=(max(least, FINEST * greatest), greatest), ratio=1),
        ),
    )
    title = "Bits against time: bits per dimension for each unit of the chain's time, of each variant"
    return Chart("terms", title, caption, {"": figure}, table=table(found))


def means(variant: Variant) -> dict[Stretch, float]:
    """By stretch that all runs with terms have, bits per dimension and unit of time, the mean over seeds."""
    runs = [run for run in variant.runs if run.terms]
    shared = [s for s in densities(runs[0]) if all(s in densities(run) for run in runs)] if runs else []
    seeds = [[densities(run) for run in own] for own in by_seed(runs).values()]
    return {s: fmean(fmean(run[s] for run in own) for own in seeds) for s in shared}


def densities(run: Run) -> dict[Stretch, float]:
    """A run's bits per dimension and unit of time."""
    chain = steps_of(run)
    return {(s := Stretch(a, b, chain)): bits / s.length for a, b, bits in run.terms}


def steps_of(run: Run) -> int:
    """T of the chain: of the schedule, or the last step that has a term."""
    told = run.settings.get("schedule.T", "")
    last = max(b for _, b, _ in run.terms)
    return max(int(told), last) if told.isdecimal() else last


def trace(look: Look, values: dict[Stretch, float], least: float) -> go.Scatter:
    """A variant's line through the middles of its stretches, of those that are not less than `least`."""
    drawn = {stretch: bits for stretch, bits in values.items() if bits >= least}
    text = [f"{look.label}<br>{s.words}: {number(bits)} bits/dim per unit of t" for s, bits in drawn.items()]
    return line(look, [stretch.middle for stretch in drawn], list(drawn.values()), text, markers=True)


def table(found: dict[str, dict[Stretch, float]]) -> Table:
    """Bits per unit of time of each stretch, a column a variant."""
    stretches = in_time(stretch for values in found.values() for stretch in values)
    thin = stretches[:: max(1, len(stretches) // ROWS)]
    rows = tuple((s.words, *(number(v[s]) if s in v else "–" for v in found.values())) for s in thin)
    return Table(("t", *found), rows)


def in_time(stretches: Iterable[Stretch]) -> list[Stretch]:
    return sorted(set(stretches), key=lambda stretch: (stretch.middle, stretch))
