"""All processes of a job do the same: compared before they train."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer


class Disagreement(RuntimeError):
    """Two processes of one job have been told different things."""


class Agreement(Callback):
    """Config, data and the shapes of the weights are those of the first process, or nobody trains.

    A process of another learning rate, or one that reads another copy of the data, would not be noticed later: its
    gradients are averaged with the others.

    Args:
        config: resolved, dotted names to values.
        fingerprint: of the content of the data.
    """

    def __init__(self, config: Mapping[str, Any], fingerprint: Callable[[], str]) -> None:
        self.config, self.fingerprint = config, fingerprint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """When all are there, and before the first weight is sent.

        Raises:
            Disagreement: on all of them, naming the first field that differs.
        """
        if trainer.world_size == 1:
            return
        shapes = {f"shape of {name}": tuple(weight.shape) for name, weight in pl_module.named_parameters()}
        values = {field: value for field, value in self.config.items() if not isinstance(value, dict)}
        facts = {**values, "content of the data": self.fingerprint(), **shapes}
        own = {field: json.dumps(value, sort_keys=True, default=str) for field, value in facts.items()}
        digest = sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
        if len(set(everywhere(digest))) == 1:
            return
        first, *others = everywhere(own)
        for rank, other in enumerate(others, 1):
            for field in [*first, *other]:
                if first.get(field) != other.get(field):
                    here, there = first.get(field, "nothing"), other.get(field, "nothing")
                    raise Disagreement(f"{field}: {there} in process {rank}, {here} in process 0; one config for all")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same once more for what a checkpoint has brought.

        Raises:
            Disagreement: where two go on from different steps.
        """
        steps = everywhere(trainer.global_step) if trainer.world_size > 1 else []
        for rank, step in enumerate(steps):
            if step != steps[0]:
                raise Disagreement(f"resume: step {step} in process {rank}, {steps[0]} in process 0; one run for all")


def everywhere(own: Any) -> list[Any]:
    """What every process has to offer, by rank."""
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, own)
    return found
