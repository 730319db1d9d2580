"""Final figures on the terminal and in files."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from difflab.runs.folder import write_text

if TYPE_CHECKING:
    from difflab.evaluation.likelihood import Terms

MODES = 8  # that have rows here; metrics.json has all

# The end of a key, and what it is; {f} and {k} are what the Frechet and the kernel distance are called, {n} is the name
# of the feature extractor.
WORDS = (
    ("bits_per_dim", "bits/dim"),
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
    ("{f}", "Frechet distance, {n} features"),
    ("{f}_floor", "  its floor: real test images"),
    ("{f}_at_floor", "  samples, as few as there"),
    ("{f}_samples", "  images in each draw"),
    ("{f}_infinity", "  extrapolated to infinitely many"),
    ("{k}", "kernel distance, mean of the subsets"),
    ("{k}_spread", "  its spread over the subsets"),
    ("{s}", "Inception Score, {n}"),
    ("precision_{n}", "precision"),
    ("recall_{n}", "recall"),
    ("{m}", "kernel distance on unit norms"),
    ("nearest_{n}_closer_share", "nearer to training images than test (0.5: no copies)"),
    ("{n}_accuracy", "  test accuracy of the {n}"),
    ("asked_class_share", "share of samples in the class asked for"),
    ("{n}_confident_share", "  samples with a class above 0.9"),
    ("{n}_confident_share_real", "  real images with one"),
    ("{n}_class_share_min", "  least share of a class"),
    ("{n}_class_share_max", "  greatest share of a class"),
    ("energy_distance", "energy distance to test points"),
    ("energy_distance_floor", "  its floor: fresh points of the law"),
    ("energy_p_value", "  chance of it where both are of one law"),
    ("sliced_wasserstein", "sliced Wasserstein distance to test points"),
    ("sliced_wasserstein_floor", "  its floor: fresh points of the law"),
    ("sliced_wasserstein_p_value", "  chance of it where both are of one law"),
    *(
        row
        for k in range(MODES)
        for row in (
            (f"mode_weight_{k}", f"share of samples at mode {k}"),
            (f"mode_weight_{k}_real", "  that of fresh points of the law"),
        )
    ),
    ("nll_of_samples", "-log exact density of samples, nats"),
    ("nll_of_samples_floor", "  its floor: test points, the entropy"),
    ("nll", "-log p of test points by the model, nats"),
    ("nll_floor", "  its floor: by the exact law"),
    ("nll_calls", "  network calls a point"),
    ("network_calls", "  network calls a sample"),
    ("loss", "training loss, last rows"),
    ("steps", "optimizer steps"),
    ("images_per_second", "images/s in training"),
    ("train", "seconds training"),
    ("evaluate", "seconds evaluating"),
    ("looks", "seconds of looks on the way"),
    ("memory_gb", "gigabytes of memory in training"),
    ("parameters", "parameters"),
)


def number(value: float) -> str:
    """Four significant digits, whole numbers whole."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}"


def names(keys: Iterable[str]) -> dict[str, str]:
    """What the distances among these keys are called: by the literature's Inception, or by another extractor."""
    counted = [k.removesuffix("_samples").removesuffix("_infinity") for k in keys if k.endswith("_samples")]
    begins = ("fd_", "kd_", "is_", "mmd_", "precision_", "nearest_")
    own = next((k.removeprefix(begin) for k in counted for begin in begins if k.startswith(begin)), "")
    if {"fid", "kid", "is"} & set(counted):
        return {"n": "inception", "f": "fid", "k": "kid", "s": "is", "m": "mmd_inception"}
    return {
        "n": own,
        "f": f"fd_{own}",
        "k": f"kd_{own}",
        "s": f"is_{own}",
        "m": "cmmd" if "cmmd" in keys else f"mmd_{own}",
    }


def numbers(figures: Mapping[str, float]) -> list[tuple[str, float, float, str]]:
    """(what, value, standard error or nan, key) of the figures that a reader looks for first."""
    keys = {key.split("/")[-1]: key for key in figures}
    called = names(keys)
    table = []
    for ending, what in WORDS:
        key = keys.get(ending.format(**called))
        if key is not None:
            table.append((what.format(**called), figures[key], figures.get(f"{key}_stderr", nan), key))
    return table


def rows(figures: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """(what, value with its standard error, key) of the same."""
    return [
        (what, number(value) if isnan(error) else f"{number(value)} ± {error:.2g}", key)
        for what, value, error, key in numbers(figures)
    ]


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


TERMS = ("step", "bits_per_dim_of_a_step", "first_step", "last_step", "bits_per_dim")


def by_step(terms: "Terms") -> list[tuple[float, ...]]:
    """Rows of a table with these columns: the middle of each stretch of the chain, and what one step of it takes."""
    return [((a * b) ** 0.5, bits / (b - a + 1), a, b, bits) for a, b, bits in terms]


def write_terms(terms: "Mapping[str, Terms]", path: Path) -> None:
    """bound_terms.csv: stretches of the chain and their bits per dimension under each bound, the counting one first."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["first_step", "last_step", "bits_per_dim", *list(terms)[1:]])
    for rows in zip(*terms.values(), strict=True):
        writer.writerow([*rows[0][:2], *(bits for _, _, bits in rows)])
    write_text(path, text.getvalue())
