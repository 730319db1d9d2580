"""The points of a grid beside each other: a table, and curves along one setting for each choice of the others."""

import csv
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table

from difflab.runs.folder import write_text
from difflab.runs.results import number
from difflab.runs.resume import key_of

if TYPE_CHECKING:
    from difflab.plots import Curve

MAIN = (
    "bits_per_dim",
    "fid",
    "fd_",
    "energy_distance",
    "energy_p_value",
    "sliced_wasserstein",
    "nll",
    "asked_class_share",
)
DISTANCES = ("fid", "fd_", "energy_distance", "sliced_wasserstein")
P_VALUE = "_p_value"
CALLS = "test/network_calls"

# What a figure's name with one of these says more about that figure: its error, its floor, what it was computed from,
# its parts and its variants. The endings of these names in turn (`_floor_stderr`) are theirs.
DETAILS = (
    *("_stderr", "_stderr_images", "_floor", "_at_floor", "_infinity"),
    *("_samples", "_draws", "_images", "_points", "_calls"),
    *("_prior", "_diffusion", "_decoder", "_truncated", "_step", "_time", "_width"),
    *(
        f"_{kind}_{c}"
        for kind in ("posterior", "forward", "learned", "analytic", "continuous")
        for c in ("clipped", "unclipped")
    ),
)


class Point(NamedTuple):
    """One evaluation.

    Attributes:
        run: its folder.
        settings: what was typed, by field.
        figures: by name.
    """

    run: Path
    settings: Mapping[str, str]
    figures: Mapping[str, float]


def settings(overrides: Sequence[str]) -> dict[str, str]:
    """Values by field of FIELD=VALUE."""
    return {key_of(item): item.partition("=")[2] for item in overrides}


def varied(points: Sequence[Point]) -> list[str]:
    """The fields in which points differ."""
    fields = list(dict.fromkeys(field for point in points for field in point.settings))
    return [field for field in fields if len({point.settings.get(field) for point in points}) > 1]


def main_figures(points: Sequence[Point]) -> list[str]:
    """Bits per dimension or nats, distances and their p-values, without the details of a figure of the same point."""
    found = {}
    for point in points:
        names = [k for k in point.figures if k.startswith("test/") and k.removeprefix("test/").startswith(MAIN)]
        details = {f"{name}{ending}" for name in names for ending in DETAILS}
        found |= dict.fromkeys(name for name in names if name not in details)
    return list(found)


def floors(points: Sequence[Point]) -> dict[str, float]:
    """By figure, what real test images have, where it was computed from as many as the samples are."""
    found = {}
    for name in main_figures(points):
        values = [
            point.figures[f"{name}_floor"]
            for point in points
            if f"{name}_floor" in point.figures and f"{name}_at_floor" not in point.figures
        ]
        found |= {name: values[0]} if values else {}
    return found


def show(points: Sequence[Point]) -> None:
    """The table on the terminal: a row for each point; ± one standard error."""
    fields, names = varied(points), main_figures(points)
    table = Table(title=f"{len(points)} evaluations (± one standard error)", title_justify="left")
    for heading in (*fields, "network calls", *(name.removeprefix("test/") for name in names)):
        table.add_column(heading, justify="right")
    for point in points:
        cells = [point.settings.get(field, "") for field in fields]
        cells.append(number(point.figures[CALLS]) if CALLS in point.figures else "")
        for name in names:
            error = point.figures.get(f"{name}_stderr")
            cell = number(point.figures[name]) if name in point.figures else ""
            cells.append(f"{cell} ± {error:.2g}" if cell and error is not None else cell)
        table.add_row(*cells)
    Console(width=None if Console().is_terminal else 120).print(table)


def write(points: Sequence[Point], path: Path) -> None:
    """The same as CSV, with every figure of every point."""
    fields = ["run", *(field for field in varied(points) if field != "run")]
    names = list(dict.fromkeys(name for point in points for name in point.figures))
    text = StringIO(newline="")
    writer = csv.DictWriter(text, [*fields, *names], extrasaction="ignore")
    writer.writeheader()
    for point in points:
        writer.writerow({**point.settings, "run": point.run, **point.figures})
    write_text(path, text.getvalue())


def curves(
    points: Sequence[Point], name: str, others: Sequence[str], x: Callable[[Point], float | None]
) -> "list[Curve]":
    """One figure along x: a curve for each choice of the other fields."""
    from difflab.plots import Curve  # with torch, which a table needs not

    groups: dict[str, list[tuple[float, float, float]]] = {}
    for point in points:
        at = x(point)
        if at is not None and name in point.figures:
            label = "  ".join(f"{field}={point.settings.get(field, 'as trained')}" for field in others)
            row = (at, point.figures[name], point.figures.get(f"{name}_stderr", nan))
            groups.setdefault(label, []).append(row)
    return [Curve(label, *zip(*sorted(rows), strict=True)) for label, rows in groups.items()]


def by_calls(points: Sequence[Point]) -> "dict[str, list[Curve]]":
    """Each distance against network calls; nothing where there is no distance or the calls do not differ."""
    fields, calls = varied(points), {point.figures.get(CALLS) for point in points}
    named = (name for name in main_figures(points) if name.removeprefix("test/").startswith(DISTANCES))
    names = [name for name in named if not name.endswith(P_VALUE)]
    if len(calls - {None}) < 2:
        return {}
    along = next((field for field in fields if steers(points, field, fields)), None)
    others = [field for field in fields if field != along]
    return {name: curves(points, name, others, lambda point: point.figures.get(CALLS)) for name in names}


def steers(points: Sequence[Point], field: str, fields: Sequence[str]) -> bool:
    """Whether a field is a number that changes the network calls while all other fields stay."""
    calls: dict[tuple[str | None, ...], set[float]] = {}
    for point in points:
        rest = tuple(point.settings.get(other) for other in fields if other != field)
        calls.setdefault(rest, set()).add(point.figures.get(CALLS, nan))
    numbers = all(number_in(point.settings.get(field)) is not None for point in points)
    return numbers and any(len(each) > 1 for each in calls.values())


def by_length(points: Sequence[Point]) -> "dict[str, list[Curve]]":
    """Each main figure against the EMA length; nothing where fewer than two lengths were asked for."""
    lengths = {number_in(point.settings.get("ema.length")) for point in points} - {None}
    if len(lengths) < 2:
        return {}
    others = [field for field in varied(points) if field != "ema.length"]
    names = main_figures(points)
    return {name: curves(points, name, others, lambda p: number_in(p.settings.get("ema.length"))) for name in names}


def number_in(text: str | None) -> float | None:
    """The number that a value is; None where it is none."""
    try:
        return float(text or "")
    except ValueError:
        return None
