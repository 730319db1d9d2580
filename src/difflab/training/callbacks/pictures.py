"""Grids of samples on the way."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from difflab.data import ImageData
from difflab.evaluation import generate, measure
from difflab.plots import image_grid
from difflab.samplers import Sampler
from difflab.training.ema import EMA
from difflab.training.module import Diffusion


class Pictures(Callback):
    """samples/step_000500.png from EMA weights and the same noise each time.

    Args:
        folder: of the pictures.
        every: optimizer steps between two; None for none.
        ema: whose average is sampled.
        sampler, n, seed, chunk: as for `generate`.
        data: what the samples are like.
    """

    def __init__(
        self,
        folder: Path,
        every: int | None,
        ema: EMA,
        sampler: Sampler,
        n: int,
        seed: int,
        chunk: int,
        data: ImageData,
    ) -> None:
        self.folder, self.every, self.ema, self.sampler = folder, every, ema, sampler
        self.n, self.seed, self.chunk, self.data = n, seed, chunk, data

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        path = self.folder / f"step_{step:06d}.png"
        if not self.every or step % self.every or step == trainer.max_steps or path.exists():
            return
        assert isinstance(pl_module, Diffusion)
        pl_module.eval()
        try:
            with self.ema.averaged(pl_module), torch.autocast(pl_module.device.type, enabled=False):
                measure(self.sampler, pl_module.denoiser, self.data)
                samples = generate(
                    pl_module.denoiser, self.sampler, self.data.shape, self.n, self.seed, self.chunk
                ).samples
        finally:
            pl_module.train()
        if trainer.is_global_zero:
            scaling = self.data.scaling
            image_grid(scaling.picture(scaling.decode(samples)), path)
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):
                    logger.log_image("samples", [str(path)], step=step)
