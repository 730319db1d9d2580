"""What the pages show, by topic; the workspace and the report choose from it."""

from typing import Any

from difflab.dashboard import keys, panels
from difflab.dashboard.factors import Factor
from difflab.dashboard.view import View


def overview(view: View) -> list[Any]:
    """How good each run is, and how it gets there."""
    return [
        panels.bars("Objective of each run", view.objective),
        panels.bars("Distance of samples, each run", view.distance),
        panels.lines("Loss of held-out images", keys.HELD_OUT),
        panels.pictures("Samples from the same noise", keys.GRID),
        panels.table(keys.FINAL),
        panels.differences(),
    ]


def losses() -> list[Any]:
    """Where training stands, and where along the noise it errs."""
    return [
        panels.lines("Training loss", keys.LOSS, log=True),
        panels.lines("Loss by quarter of time: q0 the least noise", *keys.QUARTERS, log=True),
        panels.lines("Loss of held-out images", keys.HELD_OUT, log=True),
        panels.lines("Norm of the gradient", keys.GRAD_NORM, log=True),
        panels.lines("Learning rate", keys.LEARNING_RATE),
        panels.pictures("Times drawn in training", keys.TIMES),
    ]


def likelihood(view: View) -> list[Any]:
    """Bits per dimension, while training and at the end, and what they are made of."""
    return [
        panels.lines("Bits/dim of held-out images", keys.LOOK),
        panels.bars("Bits/dim of test images", keys.BITS),
        panels.bars("Its terms: prior, diffusion, decoder", *keys.TERMS),
        panels.bars("Bits/dim, the last steps decoded at once", keys.TRUNCATED),
        panels.curve("Bits/dim of a step of the chain", *keys.BY_STEP),
        panels.points("Likelihood and quality", keys.BITS, view.distance),
    ]


def samples(view: View) -> list[Any]:
    """What is generated, and how far it is from the data."""
    return [
        panels.pictures("Samples from the same noise", keys.GRID),
        panels.pictures("From noise to sample", keys.STRIP),
        panels.bars("Distance of samples", view.distance),
    ]


def choices(view: View) -> list[Any]:
    """Which choice makes the difference."""
    against = [panels.against(f"{factor.name} and the objective", factor, view.objective) for factor in view.factors]
    return [
        panels.parallel("Choices and figures", view.factors, view.objective, view.distance),
        panels.importance(view.objective),
        panels.points("Likelihood and quality", view.objective, view.distance),
        *against,
    ]


def levels(view: View, factor: Factor) -> list[Any]:
    """What one factor does: means over the runs of each of its levels."""
    return [
        panels.bars(f"Objective by {factor.name}", view.objective, by=factor),
        panels.bars(f"Distance of samples by {factor.name}", view.distance, by=factor),
        panels.lines("Bits/dim of held-out images", keys.LOOK, by=factor),
        panels.lines("Loss of held-out images", keys.HELD_OUT, by=factor),
    ]


def samplers(view: View) -> list[Any]:
    """Quality against network calls and against the length of the average, of evaluations of finished runs."""
    name = view.distance.removeprefix("test/").removesuffix(".min")
    by_calls, by_length = keys.BY_CALLS.format(distance=name), keys.BY_LENGTH.format(distance=name)
    return [
        panels.curve("Distance against network calls", by_calls, keys.NETWORK_CALLS, name, keys.SETTINGS),
        panels.curve("Distance against EMA length", by_length, keys.LENGTH, name, keys.SETTINGS),
        panels.points("Best of each evaluation", keys.CALLS, view.distance, log_x=True),
        panels.table(keys.EVALUATIONS),
    ]


def system() -> list[Any]:
    """What a run costs."""
    return [
        panels.lines("Images a second", keys.SPEED),
        panels.lines("Memory (GB)", keys.MEMORY),
        panels.bars("Seconds of the last evaluation", keys.SECONDS),
    ]
