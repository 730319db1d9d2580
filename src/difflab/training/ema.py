"""Moving averages of the weights: the first is what is validated, sampled, scored and saved as `state_dict`."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.errors import ConfigError
from difflab.training.averages import Constant, HalfLife, Power, Rule, label
from difflab.training.sharding import collect, like, local, shards_of
from difflab.training.snapshots import Snapshots

log = logging.getLogger(__name__)
MUCH = 4 * 2**30  # bytes of snapshots that are worth a warning


class EMA(Callback):
    """average <- decay average + (1 - decay) weights, after every optimizer step, for every trainable parameter.

    Several averages can be tracked at once, each with its rule for the decay. Buffers are never averaged: constant
    tables stay as they are. In checkpoints `state_dict` holds the first average, `averages` the others by their labels
    and `current_model_state` the weights that are trained, also when one is saved while the two are swapped.

    Of a network that is shared out among processes each averages its slices. Instead of a swap such a network is
    replaced by a whole one that holds the average, and checkpoints and snapshots get complete averages.

    Args:
        rules: of the decays, by label; at least one.
        snapshots: where all averages are written every so many steps and at the end of training; None for nowhere.
    """

    def __init__(self, rules: Mapping[str, Rule], snapshots: Snapshots | None = None) -> None:
        self.rules, self.snapshots = dict(rules), snapshots
        self.first, *self.others = self.rules
        self.averages: dict[str, dict[str, Tensor]] = {}
        self.pairs: list[tuple[Rule, list[Tensor], list[Tensor]]] = []  # rule, average, weights: found once
        self.updates = 0
        self.swapped = False
        self.validating = ExitStack()

    @property
    def average(self) -> dict[str, Tensor]:
        """The first average by names of parameters; empty before training."""
        return self.averages.get(self.first, {})

    @staticmethod
    def trained(module: LightningModule) -> dict[str, Tensor]:
        """The trainable parameters by name."""
        return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = self.trained(pl_module)
        for key in self.rules:
            fresh = {name: w.clone() for name, w in weights.items()}
            if key in self.averages:
                kept = [like(self.averages[key][name], w) for name, w in fresh.items()]
                torch._foreach_copy_([local(w) for w in fresh.values()], [local(w) for w in kept])
            self.averages[key] = fresh

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = [local(w) for w in self.trained(pl_module).values()]
        self.pairs = [(r, [local(w) for w in self.averages[key].values()], weights) for key, r in self.rules.items()]
        if self.snapshots is not None and trainer.is_global_zero:
            self.snapshots.clear()
            bytes_each = sum(w.numel() * w.element_size() for one in self.averages.values() for w in one.values())
            files = trainer.max_steps // self.snapshots.every
            if files * bytes_each > MUCH:
                size = files * bytes_each / 2**30
                log.warning("ema.snapshot_every: %d; %d files will take %.0f GB", self.snapshots.every, files, size)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step > self.updates:
            for rule, average, weights in self.pairs:
                torch._foreach_lerp_(average, weights, 1 - rule.decay(self.updates))
            self.updates += 1
            if self.snapshots is not None and self.updates % self.snapshots.every == 0:
                self.keep(self.snapshots, trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.snapshots is not None and self.updates % self.snapshots.every:
            self.keep(self.snapshots, trainer, pl_module)

    def keep(self, snapshots: Snapshots, trainer: Trainer, module: LightningModule) -> None:
        """A snapshot of all averages as they are now."""
        averages = self.complete(module)
        if trainer.is_global_zero:
            snapshots.write(averages, self.updates)

    def complete(self, module: LightningModule) -> dict[str, dict[str, Tensor]]:
        """The averages for a file; those of a network that is shared out are complete on the first process alone."""
        if shards_of(module) is None:
            return self.averages
        return {key: collect(average) for key, average in self.averages.items()}

    @contextmanager
    def averaged(self, module: LightningModule) -> Iterator[None]:
        """The module holds the first average inside, and its own weights again after, whatever happens."""
        if self.swapped or not self.average:
            yield
            return
        shards = shards_of(module)
        if shards is not None:
            with shards.whole(self.average):
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
        averages = self.complete(pl_module)
        held, other = dict(checkpoint["state_dict"]), checkpoint["state_dict"] | averages.get(self.first, {})
        average, raw = (held, other) if self.swapped else (other, held)
        checkpoint["state_dict"], checkpoint["current_model_state"] = average, raw
        if self.others:
            checkpoint["averages"] = {key: dict(averages[key]) for key in self.others}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        names = self.trained(pl_module)
        saved = {self.first: checkpoint["state_dict"]} | {key: checkpoint["averages"][key] for key in self.others}
        self.averages = {
            key: {name: w.clone() for name, w in average.items() if name in names} for key, average in saved.items()
        }
        pl_module.load_state_dict(checkpoint["current_model_state"])

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates = state_dict["updates"]


def constant_ema(decay: float, warmup: bool) -> EMA:
    """One decay after a warm-up; see `Constant`."""
    return EMA({"constant": Constant(decay, warmup)})


def halflife_ema(halflife: float, rampup: float | None, images: int) -> EMA:
    """A half-life in images; see `HalfLife`."""
    return EMA({"halflife": HalfLife(halflife, rampup, images)})


def power_ema(lengths: list[float], snapshot_every: int, folder: Path) -> EMA:
    """Power-function averages of several lengths at once, and snapshots of them; see `Power` and `Snapshots`.

    Args:
        lengths: relative standard deviations, the first for what is validated and scored.
        snapshot_every: optimizer steps between two snapshots.
        folder: of the run.

    Raises:
        ConfigError: for lengths that are none or twice the same, and steps below 1.
    """
    rules = {label(length): Power(length) for length in lengths}
    if not lengths or len(rules) < len(lengths):
        raise ConfigError(f"ema.lengths: {lengths}; allowed are one or more numbers, each once")
    if snapshot_every < 1:
        raise ConfigError(f"ema.snapshot_every: {snapshot_every}; allowed are whole numbers from 1")
    return EMA(rules, Snapshots(folder, snapshot_every))
