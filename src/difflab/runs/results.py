"""Final figures on the terminal and in files."""

import csv
from collections.abc import Mapping
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.table import Table

# figure, the key of its standard error or None, what it is
ROWS = (
    ("test/bits_per_dim", "test/bits_per_dim_stderr", "bits/dim, published convention"),
    ("test/bits_per_dim_truncated", "test/bits_per_dim_truncated_stderr", "bits/dim, truncated bound"),
    ("test/bits_per_dim_prior", None, "  prior term"),
    ("test/bits_per_dim_diffusion", None, "  terms of the steps"),
    ("test/bits_per_dim_decoder", None, "  decoder term"),
    ("test/bits_per_dim_posterior_clipped", None, "  posterior variance, clipped x0"),
    ("test/bits_per_dim_posterior_unclipped", None, "  posterior variance, unclipped x0"),
    ("test/bits_per_dim_forward_clipped", None, "  forward variance, clipped x0"),
    ("test/bits_per_dim_forward_unclipped", None, "  forward variance, unclipped x0"),
)


def number(value: float) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}"


def rows(figures: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """(what, value with its standard error, key) of every final figure, the likelihood first."""
    named = {key: (error, what) for key, error, what in ROWS}
    folded = {k for k in figures if k.endswith("_stderr")}
    order = [k for k, _, _ in ROWS if k in figures] + [k for k in figures if k not in named and k not in folded]
    table = []
    for key in order:
        error, what = named.get(key, (f"{key}_stderr", key.split("/")[-1].replace("_", " ")))
        value = number(figures[key])
        if error in figures and not isnan(figures[error]):
            value += f" ± {figures[error]:.2g}"
        table.append((what, value, key))
    return table


def show(figures: Mapping[str, float], folder: Path, grid: Path | None) -> None:
    """The table of final figures, and where everything lies."""
    table = Table(title="final figures (EMA weights; ± one standard error)", title_justify="left")
    for heading, side in (("figure", "left"), ("value", "right"), ("key in metrics.json", "left")):
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for row in rows(figures):
        table.add_row(*row)
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    print(f"run folder: {folder}")
    if grid is not None:
        print(f"samples:    {grid}")


def write_terms(terms: list[tuple[int, int, float]], path: Path) -> None:
    """bound_terms.csv: stretches of the chain and their bits per dimension."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first_step", "last_step", "bits_per_dim"])
        writer.writerows(terms)
