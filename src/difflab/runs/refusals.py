"""Choices that rule each other out: one table, each row with its mathematical reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from difflab.data import Augmentation
from difflab.errors import ConfigError
from difflab.losses import ByParts, Explicit, Hybrid, Loss, Vlb
from difflab.prediction import Parameterisation
from difflab.process import Analytic, Variance
from difflab.samplers import Sampler
from difflab.schedules import Schedule
from difflab.times import Times


@dataclass(frozen=True)
class Choices:
    """What was chosen together; None for what has no part in it.

    Attributes:
        variance: that the network was trained for.
        sampler, likelihood: with whose own variances they are used.
        levels: that a number of the data can take; None for points.
    """

    schedule: Schedule
    parameterisation: Parameterisation
    variance: Variance
    loss: Loss | None = None
    times: Times | None = None
    sampler: Sampler | None = None
    likelihood: Any = None
    levels: int | None = 256
    augmentation: Augmentation | None = None

    def ends_in_noise(self) -> bool:
        """Whether nothing of the image is left at t = 1."""
        with torch.no_grad():
            return float(self.schedule.marginal(torch.ones((), dtype=torch.float64)).alpha) == 0

    def bounds(self) -> bool:
        """Whether the loss is the bound, or has it as a part."""
        return isinstance(getattr(self.loss, "base", self.loss), Vlb | Hybrid)

    def scoreless(self) -> bool:
        """Whether the loss needs a score of the data that it was not given."""
        loss = getattr(self.loss, "base", self.loss)
        return isinstance(loss, Explicit) and loss.distribution is None

    def unsaid(self) -> Variance | None:
        """A variance that a sampler or a bound wants and the network does not say."""
        wanted = [getattr(part, "variance", None) for part in (self.sampler, self.likelihood, self.loss)]
        return next((v for v in wanted if v is not None and v.outputs > self.variance.outputs), None)


class Refusal(NamedTuple):
    """A field, when it is refused, and why."""

    field: str
    when: Callable[[Choices], bool]
    why: str


TABLE = (
    Refusal(
        "prediction",
        lambda c: c.parameterisation.needs_alpha and c.ends_in_noise(),
        "x0_hat = (x - sigma eps)/alpha does not exist where alpha = 0, which this schedule reaches at t = 1; "
        "allowed are x0, v, flow",
    ),
    Refusal(
        "loss",
        lambda c: c.loss is not None and any(True for _ in c.schedule.parameters()) and not isinstance(c.loss, Vlb),
        "a learned schedule is trained by the bound: any other loss is least where the noise levels are easy; "
        "allowed is vlb",
    ),
    Refusal(
        "times",
        lambda c: c.bounds() and c.times is not None and not c.times.unbiased,
        "the bound is a mean over uniform times, and these times are not divided by their density; "
        "allowed are uniform, stratified, weighted, importance",
    ),
    Refusal(
        "loss",
        lambda c: c.bounds() and c.levels is None,
        "the bound ends in a decoder of levels, and points have none; allowed are the losses without a bound: simple, "
        "score, ...",
    ),
    Refusal(
        "augmentation",
        lambda c: c.bounds() and c.augmentation is not None,
        "the bound ends in a decoder of levels, which augmented images do not lie on; allowed is none",
    ),
    Refusal(
        "loss",
        lambda c: c.scoreless(),
        "the score of this data is not known; allowed are implicit, sliced, sliced_vr, score; or data=gaussian_mixture",
    ),
    Refusal(
        "loss",
        lambda c: isinstance(getattr(c.loss, "base", None), ByParts),
        "e/exp(u) + u has no least value where e is negative, as score matching by parts is near its optimum; "
        "allowed is a base that is no less than 0",
    ),
    Refusal(
        "loss",
        lambda c: isinstance(c.loss, Hybrid) and c.schedule.T is None,
        "hybrid adds the bound of a chain, and this schedule has no T steps; allowed is vlb",
    ),
    Refusal(
        "variance",
        lambda c: c.loss is not None and c.variance.outputs > 0 and not c.bounds(),
        "only the bound has a gradient for the variance, and this loss has no bound in it; "
        "allowed are posterior, forward, or loss=vlb, loss=hybrid",
    ),
    Refusal(
        "variance",
        lambda c: c.loss is not None and c.variance.outputs > 0 and c.schedule.T is None,
        "in continuous time beta and beta~ are the same, so there is nothing to learn between them; "
        "allowed are posterior, forward",
    ),
    Refusal(
        "variance",
        lambda c: c.loss is not None and isinstance(getattr(c.loss, "variance", None), Analytic),
        "analytic is measured of a trained network and cannot train it; allowed are posterior, forward, learned",
    ),
    Refusal(
        "variance",
        lambda c: c.unsaid() is not None,
        "this network was trained without outputs for a variance; allowed are posterior, forward, analytic",
    ),
    Refusal(
        "loss",
        lambda c: isinstance(c.loss, Hybrid) and c.variance.outputs == 0,
        "the bound in hybrid trains the variance alone, and this one has nothing to train; allowed is variance=learned",
    ),
    Refusal(
        "likelihood",
        lambda c: c.likelihood is not None and c.likelihood.chain and c.schedule.T is None,
        "a bound by steps needs a schedule with T steps; allowed are continuous, ode",
    ),
)


def refuse(choices: Choices) -> None:
    """Refuse choices that rule each other out.

    Raises:
        ConfigError: with the first reason.
    """
    for field, when, why in TABLE:
        if when(choices):
            of_loss = getattr(choices.loss, "variance", None)
            part = {
                "prediction": choices.parameterisation,
                "variance": choices.unsaid() or (of_loss if isinstance(of_loss, Analytic) else None),
            }.get(field)
            chosen = part if part is not None else getattr(choices, field)
            raise ConfigError(
                f"{field}: {type(chosen).__name__} with schedule {type(choices.schedule).__name__}: {why}"
            )
