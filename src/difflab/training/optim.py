"""Optimizer and learning rate."""

import math
from collections.abc import Sequence
from typing import Protocol

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import AdamW as TorchAdamW
from torch.optim.lr_scheduler import LambdaLR


class Optim(Protocol):
    """A recipe: what Lightning's configure_optimizers returns; `fused` where the optimizer may be one kernel."""

    def build(self, parameters: Sequence[Parameter], max_steps: int, fused: bool) -> OptimizerLRScheduler: ...


class AdamW:
    """AdamW (Loshchilov & Hutter, 2019), a linear warm-up, and a learning rate that falls along half a cosine.

    The rate is a function of optimizer steps, whatever the number of processes or of accumulated batches.

    Args:
        lr: the highest learning rate.
        betas: decay of the averages of the gradient and of its square.
        eps: added to the root of the second average.
        weight_decay: per step, times the learning rate.
        warmup_steps: optimizer steps until `lr` is reached.
        final_share: of `lr` that is left at the last step; 1 for a constant rate.
    """

    def __init__(
        self, lr: float, betas: Sequence[float], eps: float, weight_decay: float, warmup_steps: int, final_share: float
    ) -> None:
        self.lr, self.betas, self.eps, self.weight_decay = lr, (betas[0], betas[1]), eps, weight_decay
        self.warmup_steps, self.final_share = warmup_steps, final_share

    def factor(self, step: int, max_steps: int) -> float:
        """The share of `lr` that the update after `step` others takes."""
        warmup = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        done = min(1.0, step / max_steps) if max_steps > 0 else 0.0
        return warmup * (self.final_share + (1 - self.final_share) * 0.5 * (1 + math.cos(math.pi * done)))

    def build(self, parameters: Sequence[Parameter], max_steps: int, fused: bool) -> OptimizerLRScheduler:
        optimizer = TorchAdamW(
            parameters, self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=fused
        )
        schedule = LambdaLR(optimizer, lambda step: self.factor(step, max_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
