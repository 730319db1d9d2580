"""scripts/inpaint.py: test images of a finished run's data with parts of them made anew."""

from math import ceil
from pathlib import Path

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from jaxtyping import Bool, Float
from omegaconf import DictConfig
from torch import Tensor

from difflab.condition import Conditioning, Inpainting
from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation import as_pictures, conditioned, measure
from difflab.guidance import Given, Remembering
from difflab.plots import image_grid
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.runs.finished import Finished
from difflab.runs.folder import RunFolder
from difflab.runs.load import Run
from difflab.runs.masks import masks
from difflab.samplers import RePaint, Sampler, State

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
    data = run.parts.data
    if not isinstance(data, ImageData):
        raise ConfigError(f"run: {finished.path} is about points, which have no masks; allowed are runs of images")
    if cfg.n > len(data.test):
        raise ConfigError(f"n: {cfg.n}; allowed are 1 to {len(data.test)}, the images of the test part")
    mask = masks(cfg.mask, data.shape, cfg.n, cfg.seed, run.parts.denoiser.conditioning, run.config)
    originals, labels = data.test.pixels[: cfg.n], data.test.labels
    rows = torch.arange(cfg.n).repeat_interleave(cfg.each)
    made = inpaint(
        run,
        data.scaling.encode(originals)[rows],
        mask[rows],
        cfg.seed,
        None if labels is None else labels[rows],
        cfg.repaint.jump,
        cfg.repaint.resamplings,
        cfg.chunk,
    )
    real, pictures = data.scaling.picture(originals), as_pictures(made, data)
    several = pictures.unflatten(0, (cfg.n, cfg.each))
    shown = torch.cat([real[:, None], torch.where(mask, GREY, real)[:, None].to(real), several], 1).flatten(0, 1)
    out = Path(cfg.out) if cfg.out is not None else RunFolder(Path(finished.path)).samples
    name = f"inpaint_{Path(cfg.mask).stem}_seed{cfg.seed}_n{cfg.n}"
    image_grid(shown, out / f"{name}.png", columns=2 + cfg.each)
    unfinished = out / f".{name}.npz.new"
    arrays = {"arr_0": several.movedim(2, -1), "originals": real.movedim(1, -1), "masks": mask[:, 0].byte()}
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **{key: value.numpy() for key, value in arrays.items()})
    unfinished.replace(out / f"{name}.npz")
    print(f"{out / name}.png\n{out / name}.npz")


@torch.inference_mode()
def inpaint(
    run: Run,
    x: Float[Tensor, "n c h w"],
    mask: Bool[Tensor, "*n 1 h w"],
    seed: int,
    labels: Tensor | None,
    jump: int,
    resamplings: int,
    chunk: int,
    sampler: Sampler | None = None,
) -> Float[Tensor, "n c h w"]:
    """Images with the pixels of a mask made anew; image i depends on x, the mask and (seed, i) alone.

    A network that was trained with masks is told the other pixels; any other one is sampled by RePaint.

    Args:
        x: in the data's own range.
        mask: True where pixels are made.
        labels: class numbers, of a network that is told them.
        jump, resamplings: of RePaint.
        chunk: images the network sees at once.
        sampler: None for the run's own.

    Raises:
        ConfigError: for what does not fit: images, masks, the network's condition, the sampler.
    """
    parts = run.parts
    denoise, sampler = parts.denoiser, parts.sampler if sampler is None else sampler
    if x.shape[1:] != torch.Size(parts.data.shape):
        raise ConfigError(f"x: shape {tuple(x.shape)}; allowed are [N, {', '.join(map(str, parts.data.shape))}]")
    if mask.dtype != torch.bool or mask.shape[-3:] != (1, *x.shape[2:]) or mask.shape[:-3] not in ((), x.shape[:1]):
        allowed = ", ".join(map(str, (1, *x.shape[2:])))
        raise ConfigError(f"mask: {mask.dtype} {tuple(mask.shape)}; allowed are bool, [{allowed}] or [N, {allowed}]")
    known = (~mask).float().expand(len(x), 1, -1, -1)
    told = isinstance(denoise.conditioning, Inpainting)
    repaint = None if told else resampled(sampler, denoise.conditioning, jump, resamplings)
    measure(sampler, denoise, parts.data)
    calls = sampler.calls(denoise.schedule) if repaint is None else repaint.calls(denoise.schedule)
    whole, known = torch.cat([x, x[:1].expand(-len(x) % chunk, -1, -1, -1)]).float(), padded(known, chunk)
    made = []
    with Progress("inpainting", (calls or 100) * ceil(len(x) / chunk)) as progress:
        for first in range(0, len(whole), chunk):
            x0, here = (rows[first : first + chunk].to(denoise.device) for rows in (whole, known))
            noise = SampleNoise(seed, range(first, first + chunk), x.shape[1:], denoise.device)
            begun = progress.done

            def watch(state: State, begun: int = begun) -> None:
                now = state.calls if calls else round(100 * state.share)
                progress.advance(begun + now - progress.done, f"{state.calls} network calls")

            if repaint is not None:
                own = None if labels is None else padded(labels, chunk)[first : first + chunk]
                seen = guided(conditioned(denoise, x0.cpu(), own, "x").seen_by(denoise), run)
                images = repaint.complete(seen, denoise.schedule, noise, x0, here, watch)
            else:
                assert isinstance(denoise.conditioning, Inpainting)
                seen = guided(Given(denoise, denoise.conditioning.told(x0, here)), run)
                images = sampler.sample(seen, denoise.schedule, noise, watch)
                images = x0.where(here > 0, images)
            made.append(images.cpu())
    return torch.cat(made)[: len(x)]


def padded(rows: Tensor, chunk: int) -> Tensor:
    """With the first row repeated until they are whole chunks."""
    return torch.cat([rows, rows[:1].expand(-len(rows) % chunk, *rows.shape[1:])])


def guided(denoise: Denoiser, run: Run) -> Denoiser:
    """With the run's guidance, and told its own estimates where the network was trained so."""
    denoise = denoise if run.parts.guidance is None else run.parts.guidance(denoise)
    return Remembering(denoise) if getattr(denoise.network, "self_condition", False) else denoise


def resampled(sampler: Sampler, conditioning: Conditioning, jump: int, resamplings: int) -> RePaint:
    """RePaint with this sampler.

    Raises:
        ConfigError: for a sampler that cannot, and a network that is told the image in another way.
    """
    if conditioning.channels((1, 1 << 20, 1 << 20)):
        raise ConfigError(
            f"run: its network was trained with condition {type(conditioning).__name__}, which tells of the whole "
            "image; allowed are runs with condition=inpainting, none or classes"
        )
    try:
        return RePaint(sampler, jump, resamplings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
