"""Sample grids small enough for a page: as many pixels as they have, and fewer where there are many runs."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from io import BytesIO
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from difflab.progress import Progress
from difflab.report.model import Run

MOST = 300  # pictures of a page, and at least one of each run
STEPS = 4  # of a run, its last one among them
SIDES = (512, 384, 256, 192, 128, 96)  # the longest side of a picture, in pixels
OF_RUN, OF_PAGE = 140_000, 7_000_000  # characters that the pictures of a run and of the page may take
TRIED = 6  # pictures that are encoded to find the side
QUALITY = 80  # of those that are not worth their exact pixels
EXACT = 12_000  # bytes below which they are


class Picture(NamedTuple):
    """A data URI, the size of what it holds, and its name in the page."""

    name: str
    uri: str
    width: int
    height: int


def pictures(runs: Sequence[Run]) -> tuple[dict[str, dict[int, Picture]], tuple[str, ...]]:
    """By name of the run and step, and a line for each file that holds none."""
    chosen = [(run.name, step, run.pictures[step]) for run in runs for step in steps(run, max(1, MOST // len(runs)))]
    limit = min(OF_RUN * len(runs), OF_PAGE)
    found: dict[str, dict[int, Picture]] = {}
    problems: list[str] = []
    places = {run.name: i for i, run in enumerate(runs)}
    side = fitting([path for *_, path in chosen], limit)
    with Progress("pictures", len(chosen)) as progress:
        for name, step, path in chosen:
            try:
                found.setdefault(name, {})[step] = encoded(path, side, f"{places[name]}-{step}")
            except OSError as error:
                problems.append(f"{path}: no picture ({error})")
            progress.advance()
    return found, tuple(problems)


def steps(run: Run, most: int) -> list[int]:
    """At most so many of the steps that have a picture, evenly spread, the last one among them."""
    every = sorted(run.pictures)
    n = min(len(every), most, STEPS)
    return [every[round((i + 1) * len(every) / n) - 1] for i in range(n)]


def fitting(paths: Sequence[Path], limit: int) -> int:
    """The largest side with which all pictures are expected to fit into so many characters."""
    tried = [path for path in paths[:: max(1, len(paths) // TRIED)] if readable(path)][:TRIED]
    for side in SIDES:
        if sum(len(encoded(path, side).uri) for path in tried) * len(paths) <= limit * len(tried):
            return side
    return SIDES[-1]


def readable(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def encoded(path: Path, side: int, name: str = "") -> Picture:
    """A picture at no more than its own pixels and no more than this side.

    Raises:
        OSError: where the file holds none.
    """
    with Image.open(path) as file:
        image = own_pixels(file.convert("RGB"))
    if max(image.size) > side:
        share = side / max(image.size)
        image = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BOX)
    small = image.width * image.height < EXACT
    data = webp(image, lossless=True) if small else webp(image, quality=QUALITY)
    return Picture(name, f"data:image/webp;base64,{b64encode(data).decode()}", *image.size)


def own_pixels(image: Image.Image) -> Image.Image:
    """A picture that was enlarged by a whole number, as it was before."""
    pixels = np.asarray(image)
    for factor in divisors(gcd(*image.size)):
        small = pixels[::factor, ::factor]
        if np.array_equal(small.repeat(factor, 0).repeat(factor, 1), pixels):
            return Image.fromarray(small)
    return image


def divisors(n: int) -> Iterator[int]:
    """Those above 1, from the largest."""
    return (d for d in range(n, 1, -1) if n % d == 0)


def webp(image: Image.Image, **how: int) -> bytes:
    with BytesIO() as file:
        image.save(file, "WEBP", method=2, **how)
        return file.getvalue()
