"""The LightningModule: a denoiser, a loss, and the rule that draws times and noise."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from difflab.condition import NUMBERS, Unconditional
from difflab.data import Augmentation, Batch, Plain, Scaling
from difflab.guidance import Given, Recalled
from difflab.losses import Loss, Noised
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.randomness import normal, stream, torch_seed
from difflab.schedules import Schedule
from difflab.times import Drawn, Observer, Stratified, Times, spread
from difflab.training.optim import Optim
from difflab.training.sharding import Shards
from difflab.training.watchdog import BadStep, Found, Seen, Watchdog


class Diffusion(LightningModule):
    """Trains a denoiser: one loss at one random time for each image of the batch.

    Times and noise are functions of (seed, global batch, index in it): a resumed run and any number of processes
    see the same.

    Args:
        denoiser: the network with its schedule and parameterisation.
        loss: loss(denoise, noised, schedule) -> [batch].
        times: how training times are drawn.
        optim: the recipe of optimizer and learning rate.
        scaling: from levels to the numbers of the model.
        seed: of times, noise and dropout.
        augmentation: of training images beside flips, of which the network is told; None for none.
        watchdog: is told of every step; one that only stops at what is no number where none is given.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        loss: Loss,
        times: Times,
        optim: Optim,
        scaling: Scaling | Plain,
        seed: int,
        watchdog: Watchdog | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.denoiser, self.loss, self.times = denoiser, loss, times
        self.optim, self.scaling, self.seed = optim, scaling, seed
        self.observer = times if isinstance(times, Observer) else None
        self.augmentation = augmentation
        self.watchdog = Watchdog(bound=None, skip=0) if watchdog is None else watchdog
        self.last_checkpoint = "none yet"
        self.shards: Shards | None = None  # of a network that several processes share out

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning notes each hook, some fifty a step: no weight, nor a module
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def noised(
        self, batch: Batch, purpose: str, times: Callable[[Tensor, Schedule], Drawn]
    ) -> tuple[Denoiser, Noised, Drawn]:
        """The denoiser told of this batch, the batch at random times, and the times of the whole global batch.

        `purpose` names the random streams; of training images alone some are augmented, or not told of.
        """
        self.streams = opened = [f"{purpose}/times/{batch.step}"]
        rows = slice(batch.first, batch.first + len(batch.values))
        uniform = torch.from_numpy(stream(self.seed, purpose, "times", batch.step).random(batch.total))
        x0 = self.scaling.encode(batch.values)
        calls, training = count(), purpose == "train"

        def coins(what: str, n: int) -> Tensor:
            opened.append(f"{purpose}/{what}/{batch.step}")
            return torch.from_numpy(stream(self.seed, purpose, what, batch.step).random((batch.total, n)))[rows]

        def numbers(what: str, *nth: int) -> Tensor:
            opened.append("/".join(map(str, (purpose, what, batch.step, *nth))))
            whole = normal(stream(self.seed, purpose, what, batch.step, *nth), (batch.total, *x0.shape[1:]))
            return whole[rows].to(x0.device)

        augmented = None
        if training and self.augmentation is not None:
            x0, augmented = self.augmentation(x0, coins("augmentation", self.augmentation.numbers))
        denoise, conditioning = self.denoiser, self.denoiser.conditioning
        if augmented is not None or not isinstance(conditioning, Unconditional):
            tell = conditioning.trained if training else conditioning.of
            condition = tell(x0, batch.labels, coins("condition", NUMBERS))
            denoise = Given(denoise, replace(condition, augment=augmented))
        if training and getattr(self.denoiser.network, "self_condition", False):
            denoise = Recalled(denoise, coins("recall", 1)[:, 0] < 0.5)
        eps = numbers("noise")
        drawn = times(uniform, self.denoiser.schedule)
        t = drawn.t[rows].to(x0.device)
        x_t = diffuse(self.denoiser.schedule, x0, eps, t)
        return denoise, Noised(x0, eps, t, x_t, lambda: numbers("projection", next(calls))), drawn

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        denoise, noised, drawn = self.noised(batch, "train", self.times)
        if self.drops_out:
            torch.manual_seed(torch_seed(self.seed, "dropout", batch.step, self.global_rank))
            self.streams += [f"dropout/{batch.step}/{rank}" for rank in range(self.trainer.world_size)]
        losses = self.loss(denoise, noised, self.denoiser.schedule)
        if self.observer is not None:
            everywhere = self.all_gather(losses.detach())
            assert isinstance(everywhere, Tensor)
            self.observer.observe(drawn.t, everywhere.flatten().cpu(), self.denoiser.schedule)
        weighted = losses * drawn.weight[batch.first :][: len(losses)].to(losses)
        loss = weighted.mean()
        self.newest_loss = loss.detach()
        examples = losses.detach(), noised.t
        seen = Seen(batch.step, self.newest_loss, weighted.detach(), examples, drawn.t, self.streams)
        self.watchdog.batches.append(seen)
        return loss

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Tell the watchdog the norm of the gradient, the one that it is clipped by.

        A step that is left out keeps its place in all random streams and in the learning rate; without gradients no
        weight and no average of the optimizer moves.

        Raises:
            BadStep: for a bad step that may not be left out, where the watchdog looks at once.
        """
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in trained])
        whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of sharded weights
        found = self.watchdog.note(self.global_step + 1, whole, self.trainer)
        if found is not None:
            if not self.watchdog.leave_out(found, self.trainer):
                raise self.bad_step(found)
            for p in trained:
                p.grad = None
        elif gradient_clip_val and gradient_clip_algorithm != "value":  # None means the norm, to Lightning too
            nn.utils.clip_grads_with_norm_(trained, gradient_clip_val, norm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    @cached_property
    def drops_out(self) -> bool:
        """Whether any layer draws."""
        return any(m.p > 0 for m in self.modules() if isinstance(m, nn.Dropout))

    def check(self) -> None:
        """Look at the steps that nobody has looked at; on every process at the same step, with the same verdict.

        Raises:
            BadStep: for the first bad one.
        """
        found = self.watchdog.look(self.trainer)
        if found is not None:
            raise self.bad_step(found)

    def non_finite(self, what: str) -> BadStep:
        """The error of a state that is no longer numbers, in these words."""
        return self.bad_step(self.watchdog.broken(self.trainer, what))

    def bad_step(self, found: Found) -> BadStep:
        """The error that says so, and what to do."""
        skipped = self.watchdog.skipped
        return BadStep(
            found,
            f"{f'left out before: {skipped}; ' if skipped else ''}last good checkpoint: {self.last_checkpoint}; "
            "try a lower optim.lr, trainer.gradient_clip_val=1 or trainer.precision=32-true",
        )

    def val_times(self, uniform: Tensor, schedule: Schedule) -> Drawn:
        """Times spread evenly over the density of the objective, which is uniform where theirs is divided out."""
        return Stratified()(uniform, schedule) if self.times.unbiased else self.times(spread(uniform), schedule)

    def on_validation_epoch_start(self) -> None:
        self.val_sum = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The training loss on held-out images, with the same noise each time and times spread evenly."""
        denoise, noised, _ = self.noised(batch, "val", self.val_times)
        losses = self.loss(denoise, noised, self.denoiser.schedule)
        self.val_sum += torch.stack([losses.double().sum(), losses.new_tensor(len(losses), dtype=torch.float64)])

    def on_validation_epoch_end(self) -> None:
        total, count = self.trainer.strategy.reduce(self.val_sum, reduce_op="sum")
        self.log("val/loss", total / count, logger=False)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [p for p in self.parameters() if p.requires_grad]
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None  # which a fused step would undo
        by_value = self.trainer.gradient_clip_algorithm == "value"  # Lightning's own, which refuses it when mixed
        fused = not scaled and (self.trainer.precision == "32-true" or not by_value)
        return self.optim.build(trained, self.trainer.max_steps, fused=fused)
