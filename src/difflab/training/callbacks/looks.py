"""Looks on the way: pictures of samples and bits per dimension of held-out images, within a budget of network calls."""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.data import ImageData, Indexed
from difflab.errors import ConfigError
from difflab.evaluation import Drawing, Likelihood, Metrics, generate, measure
from difflab.training.callbacks.figures import Figures
from difflab.training.ema import EMA
from difflab.training.loggers import showing
from difflab.training.module import Diffusion

log = logging.getLogger(__name__)
ENOUGH = 500  # calls for bits per dimension: of fewer the error is larger than it says
UNKNOWN = 100  # calls of a sampler that chooses its own steps


class Looks(Callback):
    """samples/step_000500.png and val/bits_per_dim every few steps, from EMA weights and the same noise each time.

    At most half of the budget is for the grid, which gets fewer samples where the sampler takes many calls and none
    where one is too many; the rest is for the bits per dimension, which take a few hundred calls at least. The test
    part is never looked at.

    Args:
        folder: of the pictures.
        protocol: how often, how many samples, and the budget.
        ema: whose average is looked at.
        drawing: how samples are drawn.
        likelihood: how bits per dimension are computed.
        data: what the samples are like.
        figures: where the time is kept that this takes from training.
        images: or points, in an optimizer step.
    """

    def __init__(
        self,
        folder: Path,
        protocol: Metrics,
        ema: EMA,
        drawing: Drawing,
        likelihood: Likelihood,
        data: Indexed,
        figures: Figures,
        images: int,
    ) -> None:
        self.folder, self.protocol, self.ema, self.drawing = folder, protocol, ema, drawing
        self.likelihood, self.data, self.figures = likelihood, data, figures
        self.budget = protocol.calls_on_the_way(images)
        self.done = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.done = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step, every = trainer.global_step, self.protocol.every
        if not every or step % every or step in (self.done, trainer.max_steps):
            return
        assert isinstance(pl_module, Diffusion)
        self.done = step
        with self.figures.aside():
            pl_module.eval()
            try:
                with self.ema.averaged(pl_module), torch.autocast(pl_module.device.type, enabled=False):
                    left = self.budget - self.grid(trainer, pl_module)
                    if self.protocol.likelihood:
                        self.score(trainer, pl_module, left)
            finally:
                pl_module.train()

    def grid(self, trainer: Trainer, module: Diffusion) -> int:
        """The picture, where one sample fits; returns the network calls, on single examples, that it took."""
        drawing, denoise = self.drawing, module.denoiser
        a_sample = drawing.sampler.calls(denoise.schedule) or UNKNOWN
        if not self.protocol.pictures or a_sample > self.budget // 2:
            return 0
        measured = measure(drawing.sampler, denoise, self.data)
        n = min(self.protocol.pictures, max(1, (self.budget // 2 - measured) // a_sample))
        chunk = min(n, drawing.chunk)  # a chunk is filled up, whatever part of it is wanted
        more: dict[str, Any] = {"asked": drawing.asked, "precision": drawing.precision}
        generated = generate(denoise, drawing.sampler, self.data.shape, n, drawing.seed, chunk, **more)
        if trainer.is_global_zero:
            self.show(trainer, generated.samples)
        return measured + -(-n // chunk) * chunk * generated.calls

    def show(self, trainer: Trainer, samples: Tensor) -> None:
        """The picture as a file, and in the loggers that take pictures; training goes on where it cannot be drawn."""
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        try:
            self.protocol.picture(samples, self.data)(path)
        except ConfigError as error:
            log.warning("no picture of step %d: %s", trainer.global_step, error)
            return
        for logger in showing(trainer):
            logger.picture("samples/grid", path, trainer.global_step)

    def score(self, trainer: Trainer, module: Diffusion, calls: int) -> None:
        """Bits per dimension of held-out images by so many network calls on single images, where that is enough."""
        assert isinstance(self.data, ImageData)
        calls -= measure(self.likelihood, module.denoiser, self.data)
        if calls < ENOUGH:
            return
        found = self.likelihood.quick(module.denoiser, self.data, calls, self.drawing.seed)
        self.figures.row(trainer, {f"val/{name}": value for name, value in found.items()}, trainer.global_step)
        self.figures.seen = f"val {found['bits_per_dim']:.3f} bits/dim"
