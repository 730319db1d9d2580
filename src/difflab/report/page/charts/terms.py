"""Bits of each step of the chain: where along the noise the bound is paid."""

from math import sqrt
from statistics import fmean

import plotly.graph_objects as go

from difflab.report.model import Report, Variant
from difflab.report.page.charts.chart import Chart, Table, above, axis, line
from difflab.report.page.looks import Look
from difflab.report.page.words import number

Stretch = tuple[int, int]  # first and last step
HEIGHT = 420
LONG = 50  # steps of a chain from which their axis is logarithmic
FINEST = 1e-5  # of the greatest term: what is below would press all others together


def terms(report: Report, looks: dict[str, Look]) -> Chart | None:
    """Bits per step against the step; None where no run has them."""
    by_variant = {variant.name: means(variant) for variant in report.variants}
    found = {name: values for name, values in by_variant.items() if values}
    if not found:
        return None
    greatest = max(max(values.values()) for values in found.values())
    least = min(min(values.values()) for values in found.values())
    caption = (
        "Each point is a stretch of the chain: its bits per dimension divided by the number of its steps, the mean "
        "over seeds. Step 1 is next to the data."
    )
    if least < FINEST * greatest:
        caption += f" Terms below {FINEST * greatest:.1g} are not drawn; the table has them."
    last = max(stretch[1] for values in found.values() for stretch in values)
    figure = go.Figure(
        [trace(looks[name], values, FINEST * greatest) for name, values in found.items()],
        above(
            "Bits/dim of one step of the chain",
            HEIGHT,
            xaxis=axis("step of the chain", (1, last), LONG),
            yaxis=axis(values=(max(least, FINEST * greatest), greatest), ratio=1),
        ),
    )
    title = "Bits against time: bits per dimension of one step of the chain, for each variant"
    return Chart("terms", title, caption, {"": figure}, table=table(found))


def means(variant: Variant) -> dict[Stretch, float]:
    """By stretch that all of the variant's runs with terms have, bits per step and dimension, the mean over them."""
    each = [{(a, b): bits / (b - a + 1) for a, b, bits in run.terms} for run in variant.runs if run.terms]
    if not each:
        return {}
    shared = [stretch for stretch in each[0] if all(stretch in other for other in each)]
    return {stretch: fmean(run[stretch] for run in each) for stretch in shared}


def trace(look: Look, values: dict[Stretch, float], least: float) -> go.Scatter:
    """A variant's line through the middles of its stretches, of those that are not less than `least`."""
    values = {stretch: bits for stretch, bits in values.items() if bits >= least}
    text = [f"{look.label}<br>{steps(stretch)}: {number(bits)} bits/dim a step" for stretch, bits in values.items()]
    return line(look, [sqrt(a * b) for a, b in values], list(values.values()), text, markers=True)


def steps(stretch: Stretch) -> str:
    return f"step {stretch[0]}" if stretch[0] == stretch[1] else f"steps {stretch[0]} to {stretch[1]}"


def table(found: dict[str, dict[Stretch, float]]) -> Table:
    """Bits per step of each stretch, a column a variant."""
    stretches = sorted({stretch for values in found.values() for stretch in values})
    thin = stretches[:: max(1, len(stretches) // 60)]
    rows = tuple((steps(s), *(number(v[s]) if s in v else "–" for v in found.values())) for s in thin)
    return Table(("steps", *found), rows)
