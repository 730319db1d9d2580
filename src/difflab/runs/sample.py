"""scripts/sample.py: pictures from a finished run."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from difflab.errors import ConfigError
from difflab.evaluation import Store, generate, measure
from difflab.evaluation.protocol import as_pictures
from difflab.plots import image_grid
from difflab.runs.finished import Finished, store_of
from difflab.runs.folder import RunFolder
from difflab.runs.together import together


class Drawn(NamedTuple):
    """8-bit pictures, [n, C, H, W], the calls and the name of their sampler, and where they are kept until then."""

    pictures: Tensor
    calls: int
    sampler: str
    store: Store


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """A grid as PNG, and all samples as an .npz of 8-bit pictures (arr_0, [n, H, W, C]).

    Raises:
        ConfigError: where the run or the settings are refused, and for samples that are not finite.
    """
    if cfg.classes is not None:
        raise ConfigError(f"classes: {list(cfg.classes)}; this run's network was trained without classes: only null")
    finished = Finished.of(cfg, list(HydraConfig.get().overrides.task))
    drawn = together(cfg.devices, draw, finished, cfg.n, cfg.seed, cfg.chunk)
    out = Path(cfg.out) if cfg.out is not None else RunFolder(Path(finished.path)).samples
    average = "" if cfg.ema.length is None else f"_ema{cfg.ema.length:g}"
    name = f"{drawn.sampler}_{drawn.calls}_seed{cfg.seed}_n{cfg.n}{average}"
    image_grid(drawn.pictures[:256], out / f"{name}.png")
    unfinished = out / f".{name}.npz.new"
    with unfinished.open("wb") as file:
        np.savez_compressed(file, arr_0=drawn.pictures.permute(0, 2, 3, 1).numpy())
    unfinished.replace(out / f"{name}.npz")
    drawn.store.clear()
    print(f"{drawn.calls} network calls a sample")
    print(f"{out / name}.png\n{out / name}.npz")


def draw(finished: Finished, n: int, seed: int, chunk: int) -> Drawn:
    """The pictures, on every process that shares in them."""
    run = finished.load()
    data, denoise, sampler = run.parts.data, run.parts.denoiser, run.parts.sampler
    store = store_of(run.folder, run.config, run.parts, seed, chunk)
    measure(sampler, denoise, data)
    samples, calls = generate(denoise, sampler, data.shape, n, seed, chunk, store=store)
    return Drawn(as_pictures(samples, data), calls, type(sampler).__name__.lower(), store)
