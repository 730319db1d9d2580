"""An exponential moving average of the weights: what is validated, sampled, scored and saved as `state_dict`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class EMA(Callback):
    """average <- decay average + (1 - decay) weights, after every optimizer step, for every trainable parameter.

    With warm-up the decay after n steps is min(decay, (1 + n)/(10 + n)), so that early weights are soon forgotten.
    Buffers are never averaged: constant tables stay as they are. In checkpoints `state_dict` holds the average and
    `current_model_state` the weights that are trained, also when one is saved while the two are swapped.

    Args:
        decay: in [0, 1).
        warmup: whether the decay grows from 1/10.

    Raises:
        ValueError: for a decay outside [0, 1).
    """

    def __init__(self, decay: float, warmup: bool) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema.decay: {decay}; allowed are numbers from 0 to below 1")
        self.decay, self.warmup = decay, warmup
        self.average: dict[str, Tensor] = {}
        self.updates = 0
        self.swapped = False
        self.validating = ExitStack()

    def decay_at(self, updates: int) -> float:
        """The decay of the update after `updates` others."""
        return min(self.decay, (1 + updates) / (10 + updates)) if self.warmup else self.decay

    @staticmethod
    def trained(module: LightningModule) -> dict[str, Tensor]:
        """The trainable parameters by name."""
        return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = self.trained(pl_module)
        fresh = {name: w.clone() for name, w in weights.items()}
        if self.average:
            torch._foreach_copy_(list(fresh.values()), [self.average[name].to(w) for name, w in fresh.items()])
        self.average = fresh

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step > self.updates:
            weights = list(self.trained(pl_module).values())
            torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.decay_at(self.updates))
            self.updates += 1

    @contextmanager
    def averaged(self, module: LightningModule) -> Iterator[None]:
        """The module holds the average inside, and its own weights again after, whatever happens."""
        if self.swapped or not self.average:
            yield
            return
        self.swap(module)
        try:
            yield
        finally:
            self.swap(module)

    def swap(self, module: LightningModule) -> None:
        weights = list(self.trained(module).values())
        average = list(self.average.values())
        kept = [w.clone() for w in weights]
        torch._foreach_copy_(weights, average)
        torch._foreach_copy_(average, kept)
        self.swapped = not self.swapped

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validating.enter_context(self.averaged(pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validating.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.validating.close()

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        held, other = dict(checkpoint["state_dict"]), checkpoint["state_dict"] | self.average
        average, raw = (held, other) if self.swapped else (other, held)
        checkpoint["state_dict"], checkpoint["current_model_state"] = average, raw

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        names = self.trained(pl_module)
        self.average = {name: w.clone() for name, w in checkpoint["state_dict"].items() if name in names}
        pl_module.load_state_dict(checkpoint["current_model_state"])

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates = state_dict["updates"]
