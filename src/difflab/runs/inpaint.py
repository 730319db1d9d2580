"""scripts/inpaint.py: test images of a finished run's data with parts of them made anew."""

from pathlib import Path

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import as_pictures
from difflab.plots import image_grid
from difflab.runs.finished import Finished
from difflab.runs.folder import RunFolder
from difflab.runs.inpainting import inpaint
from difflab.runs.masks import masks

GREY = 128


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """A PNG with a row for each image, original | masked | inpaintings, and all of them as an .npz.

    arr_0 are the inpaintings, uint8 [n, each, H, W, C]; originals, [n, H, W, C]; masks, [n, H, W], 1 where pixels are
    made.

    Raises:
        ConfigError: where the run, the mask or the settings are refused, and for samples that are not finite.
    """
    finished = Finished.of(cfg, list(HydraConfig.get().overrides.task))
    run = finished.load()
    data, parts = run.parts.data, run.parts
    if not isinstance(data, ImageData):
        raise ConfigError(f"run: {finished.path} is about points, which have no masks; allowed are runs of images")
    if cfg.n > len(data.test):
        raise ConfigError(f"n: {cfg.n}; allowed are 1 to {len(data.test)}, the images of the test part")
    mask = masks(cfg.mask, data.shape, cfg.n, cfg.seed, parts.denoiser.conditioning, run.config)
    originals, labels = data.test.pixels[: cfg.n], data.test.labels
    rows = torch.arange(cfg.n).repeat_interleave(cfg.each)
    told = None if labels is None else labels[rows]
    x, jump, resamplings = data.scaling.encode(originals)[rows], cfg.repaint.jump, cfg.repaint.resamplings
    made = inpaint(parts, x, mask[rows], told, cfg.seed, parts.sampler, jump, resamplings, cfg.chunk)
    real, several = data.scaling.picture(originals), as_pictures(made, data).unflatten(0, (cfg.n, cfg.each))
    masked = torch.where(mask, GREY, real).to(real)
    shown = torch.cat([real[:, None], masked[:, None], several], 1).flatten(0, 1)
    out = Path(cfg.out) if cfg.out is not None else RunFolder(Path(finished.path)).samples
    name = f"inpaint_{Path(cfg.mask).stem}_seed{cfg.seed}_n{cfg.n}"
    image_grid(data.viewed(shown), out / f"{name}.png", columns=2 + cfg.each)
    unfinished = out / f".{name}.npz.new"
    images = [made.movedim(-3, -1).numpy() for made in (several, real)]
    with unfinished.open("wb") as file:
        np.savez_compressed(file, arr_0=images[0], originals=images[1], masks=mask[:, 0].byte().numpy())
    unfinished.replace(out / f"{name}.npz")
    print(f"{out / name}.png\n{out / name}.npz")
