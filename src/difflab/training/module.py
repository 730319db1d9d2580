"""The LightningModule: a denoiser, a loss, and the rule that draws times and noise."""

from collections.abc import Callable, Iterator
from itertools import count
from math import isfinite

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from difflab.data import Batch, Plain, Scaling
from difflab.losses import Loss, Noised
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.randomness import normal, stream, torch_seed
from difflab.schedules import Schedule
from difflab.times import Drawn, Observer, Stratified, Times, spread
from difflab.training.optim import Optim


class NonFinite(RuntimeError):
    """A loss that is not a number: which step, which loss, and where the last good checkpoint lies."""


class Diffusion(LightningModule):
    """Trains a denoiser: one loss at one random time for each image of the batch.

    Times and noise are functions of (seed, global batch, index in it): a resumed run and any number of processes
    see the same. Losses stay on the device until somebody asks for them.

    Args:
        denoiser: the network with its schedule and parameterisation.
        loss: loss(denoise, noised, schedule) -> [batch].
        times: how training times are drawn.
        optim: the recipe of optimizer and learning rate.
        scaling: from levels to the numbers of the model.
        seed: of times, noise and dropout.
    """

    def __init__(
        self, denoiser: Denoiser, loss: Loss, times: Times, optim: Optim, scaling: Scaling | Plain, seed: int
    ) -> None:
        super().__init__()
        self.denoiser, self.loss, self.times = denoiser, loss, times
        self.optim, self.scaling, self.seed = optim, scaling, seed
        self.losses: list[Tensor] = []
        self.checked = 0
        self.last_checkpoint = "none yet"

    def noised(self, batch: Batch, purpose: str, times: Callable[[Tensor, Schedule], Drawn]) -> tuple[Noised, Drawn]:
        """The batch at random times, and the times of the whole global batch; `purpose` names the random streams."""
        rows = slice(batch.first, batch.first + len(batch.values))
        uniform = torch.from_numpy(stream(self.seed, purpose, "times", batch.step).random(batch.total))
        x0 = self.scaling.encode(batch.values)
        calls = count()

        def numbers(what: str, *nth: int) -> Tensor:
            whole = normal(stream(self.seed, purpose, what, batch.step, *nth), (batch.total, *x0.shape[1:]))
            return whole[rows].to(x0.device)

        eps = numbers("noise")
        drawn = times(uniform, self.denoiser.schedule)
        t = drawn.t[rows].to(x0.device)
        x_t = diffuse(self.denoiser.schedule, x0, eps, t)
        return Noised(x0, eps, t, x_t, lambda: numbers("projection", next(calls))), drawn

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if any(m.p > 0 for m in self.dropouts()):
            torch.manual_seed(torch_seed(self.seed, "dropout", batch.step, self.global_rank))
        noised, drawn = self.noised(batch, "train", self.times)
        losses = self.loss(self.denoiser, noised, self.denoiser.schedule)
        if isinstance(self.times, Observer):
            everywhere = self.all_gather(losses.detach())
            assert isinstance(everywhere, Tensor)
            self.times.observe(drawn.t, everywhere.flatten().cpu(), self.denoiser.schedule)
        weight = drawn.weight[batch.first :][: len(losses)].to(losses)
        loss = (losses * weight).mean()
        self.newest_loss = loss.detach()
        self.losses.append(self.newest_loss)
        return loss

    def dropouts(self) -> Iterator[nn.Dropout]:
        return (m for m in self.modules() if isinstance(m, nn.Dropout))

    def recent_loss(self) -> Tensor:
        """Mean of the losses since the last call, on the device.

        Raises:
            NonFinite: where one of them is not a number, by its step.
        """
        self.check()
        recent = torch.stack(self.losses).mean()
        self.losses.clear()
        self.checked = 0
        return recent

    def check(self) -> None:
        """Look at the losses that nobody has looked at; on every process at the same step, with the same verdict.

        Raises:
            NonFinite: where one of them is not a number, by its step.
        """
        unseen = self.losses[self.checked :]
        if not unseen:
            return
        everywhere = self.trainer.strategy.reduce(torch.stack(unseen), reduce_op="mean")
        assert isinstance(everywhere, Tensor)
        for i, loss in enumerate(everywhere.tolist(), 1):
            if not isfinite(loss):
                step = self.global_step - (len(unseen) - i) // self.trainer.accumulate_grad_batches
                raise self.non_finite(f"the loss is {loss} at step {step}")
        self.checked = len(self.losses)

    def non_finite(self, what: str) -> NonFinite:
        """The error that says so, and what to do."""
        return NonFinite(
            f"{what}; last good checkpoint: {self.last_checkpoint}; "
            "try a lower optim.lr, trainer.gradient_clip_val=1 or trainer.precision=32-true"
        )

    def val_times(self, uniform: Tensor, schedule: Schedule) -> Drawn:
        """Times spread evenly over the density of the objective, which is uniform where theirs is divided out."""
        return Stratified()(uniform, schedule) if self.times.unbiased else self.times(spread(uniform), schedule)

    def on_validation_epoch_start(self) -> None:
        self.val_sum = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The training loss on held-out images, with the same noise each time and times spread evenly."""
        noised, _ = self.noised(batch, "val", self.val_times)
        losses = self.loss(self.denoiser, noised, self.denoiser.schedule)
        self.val_sum += torch.stack([losses.double().sum(), losses.new_tensor(len(losses), dtype=torch.float64)])

    def on_validation_epoch_end(self) -> None:
        total, count = self.trainer.strategy.reduce(self.val_sum, reduce_op="sum")
        self.log("val/loss", total / count, logger=False)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [p for p in self.parameters() if p.requires_grad]
        full = self.trainer.precision == "32-true"  # Lightning clips no gradients of fused steps in mixed precision
        return self.optim.build(trained, self.trainer.max_steps, fused=full)
