"""Final figures on the terminal and in files."""

import csv
from collections.abc import Mapping
from math import isnan, nan
from pathlib import Path

from rich.console import Console
from rich.table import Table

# The end of a key, and what it is; {} is the name of the feature extractor.
WORDS = (
    ("bits_per_dim", "bits/dim, published convention"),
    ("bits_per_dim_prior", "  prior term"),
    ("bits_per_dim_diffusion", "  terms of the steps"),
    ("bits_per_dim_decoder", "  decoder term"),
    ("bits_per_dim_posterior_clipped", "  posterior variance, clipped x0"),
    ("bits_per_dim_posterior_unclipped", "  posterior variance, unclipped x0"),
    ("bits_per_dim_forward_clipped", "  forward variance, clipped x0"),
    ("bits_per_dim_forward_unclipped", "  forward variance, unclipped x0"),
    ("bits_per_dim_truncated", "bits/dim, truncated bound"),
    ("bits_per_dim_truncated_step", "  its chain ends at step"),
    ("bits_per_dim_calls", "  network calls an image"),
    ("fd_{}", "Frechet distance, {} features"),
    ("fd_{}_floor", "  its floor: real test images"),
    ("fd_{}_samples", "  images in each draw"),
    ("{}_accuracy", "  test accuracy of the {}"),
    ("{}_confident_share", "  samples with a class above 0.9"),
    ("{}_confident_share_real", "  real images with one"),
    ("{}_class_share_min", "  least share of a class"),
    ("{}_class_share_max", "  greatest share of a class"),
    ("network_calls", "  network calls a sample"),
    ("loss", "training loss, last rows"),
    ("steps", "optimizer steps"),
    ("images_per_second", "images/s in training"),
    ("train", "seconds training"),
    ("evaluate", "seconds evaluating"),
    ("parameters", "parameters"),
)


def number(value: float) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}"


def rows(figures: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """(what, value with its standard error, key) of the figures that a reader looks for first."""
    keys = {key.split("/")[-1]: key for key in figures}
    extractor = next((k.removeprefix("fd_").removesuffix("_floor") for k in keys if k.endswith("_floor")), "")
    table = []
    for ending, what in WORDS:
        key = keys.get(ending.format(extractor))
        if key is not None:
            value, error = number(figures[key]), figures.get(f"{key}_stderr", nan)
            table.append((what.format(extractor), value if isnan(error) else f"{value} ± {error:.2g}", key))
    return table


def show(figures: Mapping[str, float], folder: Path, grid: Path | None) -> None:
    """The table of the main figures, and where everything lies; metrics.json has them all."""
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
