"""scripts/sample.py: samples of a finished run, as a picture and as numbers."""

import math
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from difflab.data import ImageData
from difflab.evaluation import Store, as_pictures, decoded, generate, measure, picture
from difflab.evaluation.completed import completed
from difflab.evaluation.film import film
from difflab.evaluation.processes import rank_and_size
from difflab.guidance import ClassifierFree
from difflab.plots.animation import animate, check_animation
from difflab.runs.finished import Finished, store_of
from difflab.runs.folder import RunFolder
from difflab.runs.together import together

IMAGES = 256  # in a grid
NUMBERS = 8  # class numbers in the name of a file; more of them are a hash


class Drawn(NamedTuple):
    """What scripts/sample.py writes.

    Attributes:
        picture: draws into a path.
        animation: writes the reverse process of the first samples into a path; None where it was not asked for.
        array: 8-bit pictures, uint8 [n, H, W, C], or points, float32 [n, 2].
        calls, sampler: network calls a sample, and the sampler's name.
        store: where the samples are kept until then.
        guidance: None for none.
    """

    picture: Callable[[Path], None]
    animation: Callable[[Path], None] | None
    array: np.ndarray
    calls: int
    sampler: str
    store: Store
    guidance: ClassifierFree | None


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """A PNG, and all samples as an .npz: arr_0 has 8-bit pictures, [n, H, W, C], or points, [n, 2]; maybe a film.

    Raises:
        ConfigError: where the run or the settings are refused, and for samples that are not finite.
    """
    if cfg.animation is not None:
        check_animation(f".{cfg.animation}")
    finished = Finished.of(cfg, list(HydraConfig.get().overrides.task))
    classes = None if cfg.classes is None else list(cfg.classes)
    animated = cfg.animation is not None
    drawn = together(cfg.devices, draw, finished, cfg.n, cfg.seed, cfg.chunk, cfg.precision, classes, animated)
    out = Path(cfg.out) if cfg.out is not None else RunFolder(Path(finished.path)).samples
    average = "" if cfg.ema.length is None else f"_ema{cfg.ema.length:g}"
    average += "" if cfg.precision == "32-true" else f"_{cfg.precision}"
    name = f"{drawn.sampler}_{drawn.calls}{asked_for(classes, drawn.guidance)}_seed{cfg.seed}_n{cfg.n}{average}"
    drawn.picture(out / f"{name}.png")
    unfinished = out / f".{name}.npz.new"
    with unfinished.open("wb") as file:
        np.savez_compressed(file, arr_0=drawn.array)
    unfinished.replace(out / f"{name}.npz")
    if drawn.animation is not None:
        drawn.animation(out / f"{name}.{cfg.animation}")
    drawn.store.clear()
    print(f"{drawn.calls} network calls a sample")
    print(f"{out / name}.png\n{out / name}.npz")
    if drawn.animation is not None:
        print(f"{out / name}.{cfg.animation}")


def asked_for(classes: list[int] | None, guidance: ClassifierFree | None) -> str:
    """The part of a file's name that says what was asked of its samples: of guidance the scale, and what limits it."""
    name = ""
    if classes is not None:
        numbers = "-".join(map(str, classes))
        short = f"{len(classes)}-{blake2b(numbers.encode(), digest_size=4).hexdigest()}"
        name += f"_classes{numbers if len(classes) <= NUMBERS else short}"
    if guidance is not None:
        name += f"_guidance{guidance.scale:g}"
        if guidance.sigma_min > 0 or guidance.sigma_max < math.inf:
            name += f"_sigma{guidance.sigma_min:g}-{guidance.sigma_max:g}"
        if guidance.rescale > 0:
            name += f"_rescale{guidance.rescale:g}"
    return name


def draw(
    finished: Finished, n: int, seed: int, chunk: int, precision: str, classes: list[int] | None, animated: bool
) -> Drawn:
    """The samples, on every process that shares in them."""
    run = finished.load()
    data, denoise, sampler = run.parts.data, run.parts.denoiser, run.parts.sampler
    store = store_of(run.folder, run.config, run.parts, seed, chunk, classes, precision)
    asked = run.parts.asked(seed, classes)
    measure(sampler, denoise, data)
    more: dict[str, Any] = {"store": store, "asked": asked, "precision": precision}
    samples, calls = generate(denoise, sampler, data.shape, n, seed, chunk, **more)
    images = isinstance(data, ImageData)
    array = as_pictures(samples, data).permute(0, 2, 3, 1) if images else decoded(samples, data)
    shown = completed(samples[:IMAGES], data, asked) or picture(samples[:IMAGES] if images else samples, data)
    animation = None
    if animated and rank_and_size()[0] == 0:
        animation = partial(animate, film(denoise, sampler, data, n, seed, asked))
    name = type(sampler).__name__.lower()
    return Drawn(shown, animation, array.numpy(), calls, name, store, run.parts.guidance)
