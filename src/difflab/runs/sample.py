"""scripts/sample.py: pictures from a finished run."""

from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.evaluation import generate, measure
from difflab.plots import image_grid
from difflab.runs.folder import RunFolder
from difflab.runs.load import load_run
from difflab.runs.settings import changes


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """A grid as PNG, and all samples as an .npz of 8-bit pictures (arr_0, [n, H, W, C]).

    Raises:
        ConfigError: where the run or the settings are refused.
    """
    if cfg.classes is not None:
        raise ConfigError(f"classes: {list(cfg.classes)}; this run's network was trained without classes: only null")
    target = RunFolder.existing("run", cfg.run)
    saved: Any = OmegaConf.to_container(target.read_config("run"))
    changed = changes(saved, cfg, list(HydraConfig.get().overrides.task))
    run = load_run(cfg.run, cfg.checkpoint, list(cfg.targets), cache=cfg.cache, **changed)
    parts = run.parts
    measure(parts.sampler, parts.denoiser, parts.data)
    samples, calls = generate(parts.denoiser, parts.sampler, parts.data.shape, cfg.n, cfg.seed, cfg.chunk)
    pictures = parts.data.scaling.picture(parts.data.scaling.decode(samples))
    out = Path(cfg.out) if cfg.out is not None else target.samples
    name = f"{type(parts.sampler).__name__.lower()}_{calls}_seed{cfg.seed}_n{cfg.n}"
    image_grid(pictures[:256], out / f"{name}.png")
    np.savez_compressed(out / f"{name}.npz", arr_0=pictures.permute(0, 2, 3, 1).numpy())
    print(f"{calls} network calls a sample")
    print(f"{out / name}.png\n{out / name}.npz")
