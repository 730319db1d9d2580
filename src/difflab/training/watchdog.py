"""Steps whose loss or gradient is no number, or whose loss is above a bound: found, told, and left out if wanted."""

import logging
from math import isfinite
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from difflab.training.quarters import QUARTERS, by_quarter
from difflab.training.sharding import local

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """A process's share of one global batch, as it was trained on.

    Attributes:
        number: of the global batch since the start of training.
        loss: mean of this share.
        losses: of its examples, with their weights.
        examples: losses without weights, and times, of these examples.
        times: of the examples of the whole global batch.
        streams: the random streams that were opened for it.
    """

    number: int
    loss: Tensor
    losses: Tensor
    examples: tuple[Tensor, Tensor]
    times: Tensor
    streams: list[str]


class Step(NamedTuple):
    """One optimizer step: its number, from 1, mean loss of this process, norm of the gradient before clipping."""

    number: int
    loss: Tensor
    norm: Tensor
    batches: list[Seen]


class Found(NamedTuple):
    """What was bad, where, and what it was computed from.

    Attributes:
        what: loss, grad_norm or state, which is the number of numbers of the state that are none.
        words: that in a sentence.
        bound: of the loss.
        batches: of the step, with the times and losses of their examples in the order of the global batch.
    """

    step: int
    what: str
    value: float
    words: str
    bound: float | None
    batches: list[dict[str, Any]]


class BadStep(RuntimeError):
    """A step that training does not go on from: what is wrong, where the last good checkpoint lies, what to do.

    Args:
        found: the facts.
        advice: the rest of the message.
    """

    def __init__(self, found: Found, advice: str) -> None:
        super().__init__(f"{found.words}; {advice}")
        self.found = found


class Watchdog(Callback):
    """Knows loss and gradient norm of every step.

    A loss that is not finite or above the bound, and a gradient norm that is not finite, are bad. Where none of them
    may be left out the numbers stay on the device until somebody looks, so that no step waits for it; else each is
    looked at before the optimizer acts. Both are of the whole step: all processes, all accumulated batches. Where a
    scaler of half precision lowers its scale by itself when gradients overflow, their norm is nobody's fault.

    Args:
        bound: the highest loss; None for no bound.
        skip: how many bad steps are left out, over all parts of a resumed run, before one is the end.
        at_once: whether every step is looked at before the optimizer acts, also where none may be left out.

    Attributes:
        skipped: how many have been left out.
        newest: loss and gradient norm of the last step that was looked at.
    """

    def __init__(self, bound: float | None, skip: int, at_once: bool = False) -> None:
        self.bound, self.skip, self.at_once = bound, skip, at_once or skip > 0
        self.skipped = 0
        self.batches: list[Seen] = []  # of the step in progress
        self.unseen: list[Step] = []
        self.last: list[Seen] = []  # those of the newest step
        self.told: list[Step] = []  # that no row tells of, and whose quarters nobody has counted
        self.recent: list[Tensor] = []  # loss, norm and losses by quarter of those before them
        self.newest: dict[str, float] = {}

    def note(self, number: int, norm: Tensor, trainer: Trainer) -> Found | None:
        """Note a step before the optimizer acts; what is wrong with it, where each is looked at."""
        self.last, self.batches = self.batches, []
        losses = [seen.loss for seen in self.last]
        loss = torch.stack(losses).mean() if len(losses) > 1 else losses[0]
        self.unseen.append(Step(number, loss, norm, self.last))
        found = self.look(trainer) if self.at_once else None
        if found is None:
            self.told.append(self.unseen[-1] if self.unseen else Step(number, loss, norm, self.last))
        return found

    def count(self) -> list[Tensor]:
        """The rows of all steps that no row of the log tells of: counted together, so that no step waits for it."""
        told, self.told = self.told, []
        if told:
            losses, t = (torch.stack([torch.cat(x) for x in xs]) for xs in zip(*map(examples, told), strict=True))
            both = torch.stack([torch.stack([step.loss, step.norm.to(step.loss)]) for step in told]).double()
            self.recent += torch.cat([both, by_quarter(losses, t)], dim=1)
        return self.recent

    def leave_out(self, found: Found, trainer: Trainer) -> bool:
        """Whether this step may be left out; it is counted then, and told."""
        if self.skipped == self.skip:
            return False
        self.skipped += 1
        if trainer.is_global_zero:
            log.warning("%s; left out: number %d of at most %d", found.words, self.skipped, self.skip)
        return True

    def look(self, trainer: Trainer) -> Found | None:
        """The first bad one of the steps that nobody has looked at; on every process at once, with one verdict."""
        unseen, self.unseen = self.unseen, []
        if not unseen:
            return None
        mine = [torch.stack(values).double() for values in ([s.loss for s in unseen], [s.norm for s in unseen])]
        losses, norms = gathered(trainer, torch.stack(mine)).transpose(0, 1).tolist()
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        for i, step in enumerate(unseen):
            loss = sum(process[i] for process in losses) / len(losses)  # in the same order however many are looked at
            norm = norms[0][i]  # all processes have the same
            self.newest = {"loss": loss, "grad_norm": norm}
            if not isfinite(loss):
                words = f"the loss is {loss} at step {step.number}"
                return self.found(step, "loss", loss, words, trainer)
            if self.bound is not None and loss > self.bound:
                words = f"the loss is {loss:g} at step {step.number}, above watchdog.loss_bound={self.bound:g}"
                return self.found(step, "loss", loss, words, trainer)
            if not isfinite(norm) and not scaled:
                words = f"the gradient norm is {norm} at step {step.number}, of loss {loss:g}"
                return self.found(step, "grad_norm", norm, words, trainer)
        return None

    def found(self, step: Step, what: str, value: float, words: str, trainer: Trainer) -> Found:
        """The facts of a step, from all processes."""
        batches = [
            described(seen) | {"losses": gathered(trainer, seen.losses).flatten().tolist()} for seen in step.batches
        ]
        return Found(step.number, what, value, words, self.bound, batches)

    def broken(self, trainer: Trainer, words: str) -> Found:
        """The facts of a state that is no longer numbers after a step whose loss and gradient were."""
        batches = [described(seen) for seen in self.last]
        return Found(trainer.global_step, "state", unfinite(trainer), words, self.bound, batches)

    def means(self) -> Tensor:
        """Mean loss and gradient norm of the steps since the last call, without those left out: nan where there are
        none; then sums and numbers of their losses by quarter of time. [10], on the device."""
        recent, self.recent = self.count(), []
        if not recent:
            return torch.tensor([torch.nan] * 2 + [0.0] * 2 * QUARTERS, dtype=torch.float64)
        rows = torch.stack(recent)
        norms = torch.where(rows[:, 1].isfinite(), rows[:, 1], torch.nan)  # a scaler's, see above
        return torch.cat([rows[:, 0].mean()[None], norms.nanmean()[None], rows[:, 2:].sum(0)])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """By all processes at once: the one that writes needs the losses of the others, which are not its own."""
        rows = self.count()
        recent = gathered(self.trainer, torch.stack(rows)).cpu() if rows else None
        return {"skipped": self.skipped, "recent": recent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped, recent = state_dict["skipped"], state_dict["recent"]
        if recent is not None:
            alike = len(recent) == self.trainer.world_size
            mine = recent[self.trainer.global_rank] if alike else recent.mean(0)
            self.recent = list(mine.to(self.trainer.strategy.root_device))


def examples(step: Step) -> tuple[list[Tensor], list[Tensor]]:
    """Losses and times of a step's examples, by batch."""
    return [seen.examples[0] for seen in step.batches], [seen.examples[1] for seen in step.batches]


def described(seen: Seen) -> dict[str, Any]:
    """A batch as plain numbers."""
    return {"number": seen.number, "times": seen.times.tolist(), "streams": seen.streams}


def gathered(trainer: Trainer, values: Tensor) -> Tensor:
    """[processes, *shape]: what every process has."""
    everywhere: Any = trainer.strategy.all_gather(values)
    return everywhere.reshape(-1, *values.shape)


def unfinite(trainer: Trainer) -> int:
    """How many numbers among the weights and those of the optimizer are none; of its slices, where they are cut."""
    states = [state for optimizer in trainer.optimizers for state in optimizer.state.values()]
    tensors = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    tensors += trainer.lightning_module.state_dict().values()
    return sum(int((~local(tensor).isfinite()).sum()) for tensor in tensors)
