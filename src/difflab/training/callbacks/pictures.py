"""Grids of samples on the way."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from difflab.data import Scaling
from difflab.evaluation import generate
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
        scaling: to pictures.
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
        scaling: Scaling,
    ) -> None:
        self.folder, self.every, self.ema, self.sampler = folder, every, ema, sampler
        self.n, self.seed, self.chunk, self.scaling = n, seed, chunk, scaling

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        path = self.folder / f"step_{step:06d}.png"
        if not self.every or step % self.every or step == trainer.max_steps or path.exists():
            return
        assert isinstance(pl_module, Diffusion)
        shape = tuple(batch.pixels.shape[1:])
        pl_module.eval()
        try:
            with self.ema.averaged(pl_module), torch.autocast(pl_module.device.type, enabled=False):
                samples = generate(pl_module.denoiser, self.sampler, shape, self.n, self.seed, self.chunk)
        finally:
            pl_module.train()
        if trainer.is_global_zero:
            image_grid(self.scaling.picture(self.scaling.decode(samples)), path)
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):
                    logger.log_image("samples", [str(path)], step=step)
