"""Where a training process can die: places at which something of a step is done and something is not."""

import os
import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np


class Place(NamedTuple):
    """A function of the program, by where it is looked up, and when in it the signal comes.

    Attributes:
        where: module, and class where it is a method.
        name: of the function.
        every: the steps at which it is called, with the settings of the tests.
        call: which of its calls in that step, counted from 1.
        after: whether it has done its work by then.
        half: what a part of its work would have left behind.
    """

    where: str
    name: str
    every: int = 1
    call: int = 1
    after: bool = False
    half: Callable[..., None] = lambda *_: None


def half_a_row(table: Any, *_: Any) -> None:
    with table.path.open("a") as file:
        file.write("7,0.25")


def half_a_snapshot(snapshots: Any, averages: Any, step: int) -> None:
    snapshots.path(step).with_suffix(".unfinished").write_bytes(b"half")


RUN, CALLBACKS = "difflab.training", "difflab.training.callbacks"
PLACES = {
    "first batch of a step": Place(f"{RUN}:Diffusion", "training_step"),
    "second batch of a step": Place(f"{RUN}:Diffusion", "training_step", call=2),
    "between optimizer and callbacks": Place(f"{RUN}:EMA", "on_train_batch_end", call=2),
    "between callbacks": Place(f"{CALLBACKS}:Figures", "on_train_batch_end", call=2, after=True),
    "a row": Place(f"{RUN}:Table", "log_metrics", every=2, half=half_a_row),
    "a snapshot": Place(f"{RUN}:Snapshots", "write", every=2, half=half_a_snapshot),
    "validation": Place(f"{RUN}:Diffusion", "validation_step", every=4),
    "after validation": Place(f"{CALLBACKS}:Checkpoints", "on_validation_end", every=4, after=True),
    "saving": Place(f"{CALLBACKS}.checkpoints", "flush", every=3, half=lambda path: os.truncate(path, 9999)),
    "before a link": Place(f"{CALLBACKS}.checkpoints", "link", every=3),
    "after a link": Place(f"{CALLBACKS}.checkpoints", "link", every=3, after=True),
    "between steps": Place(f"{CALLBACKS}:StopOnSignal", "on_train_batch_start", call=2),
    "evaluation": Place("difflab.evaluation:Protocol", "evaluate"),
}


class Death(NamedTuple):
    """A signal in the course of optimizer step `step`, counted from 1."""

    place: str
    step: int
    signum: int

    def prepare(self) -> None:
        """Make this process die so."""
        from difflab.training import Diffusion

        where, name, _, call, after, half = PLACES[self.place]
        module, _, owner = where.partition(":")
        holder = getattr(import_module(module), owner) if owner else import_module(module)
        train, original = Diffusion.training_step, getattr(holder, name)
        now, calls = 0, 0

        def noted(module: Diffusion, *arguments: Any) -> Any:
            nonlocal now
            now = module.global_step + 1
            return train(module, *arguments)

        def struck(*arguments: Any) -> Any:
            nonlocal calls
            here = now == self.step or (original is train and arguments[0].global_step + 1 == self.step)
            calls += here
            result = original(*arguments) if after else None
            if here and calls == call:
                if self.signum == signal.SIGKILL:
                    half(*arguments)
                os.kill(os.getpid(), self.signum)
            return result if after else original(*arguments)

        Diffusion.training_step = noted  # type: ignore[method-assign]
        setattr(holder, name, struck)


def deaths(random: np.random.Generator, places: list[str]) -> list[Death]:
    """At these places, in this order, each at a random step after the one before; a quarter of them by SIGTERM."""
    step, found = 0, []
    for i, place in enumerate(places):
        every = PLACES[place].every
        step = every * -(-(step + 1 + int(random.integers(2))) // every)
        found.append(Death(place, step, signal.SIGTERM if i % 4 == 3 else signal.SIGKILL))
    return found
