"""How fast an average of weights forgets: one rule a class, each a decay for every optimizer step."""

import math
from typing import Protocol

import torch

from difflab.errors import ConfigError

SHORTEST = 0.001  # a few steps of a few thousand
LONGEST = 1 / math.sqrt(12)  # relative standard deviation of the plain mean over all of training


class Rule(Protocol):
    """The decay in average <- decay average + (1 - decay) weights."""

    def decay(self, updates: int) -> float:
        """The decay of the update that `updates` others came before, in [0, 1)."""
        ...


class Constant:
    """One decay, after a warm-up: min(decay, (1 + n)/(10 + n)) after n updates, so that early weights are soon gone.

    Args:
        decay: in [0, 1).
        warmup: whether the decay grows from 1/10.

    Raises:
        ConfigError: for a decay outside [0, 1).
    """

    def __init__(self, decay: float, warmup: bool) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"ema.decay: {decay}; allowed are numbers from 0 to below 1")
        self.limit, self.warmup = decay, warmup

    def decay(self, updates: int) -> float:
        return min(self.limit, (1 + updates) / (10 + updates)) if self.warmup else self.limit


class HalfLife:
    """2^(-batch/half-life), both in images; Karras et al. (2022), appendix F.

    The half-life grows with training, to no more than `rampup` times the images seen so far. The first update, which
    no image came before, then takes the weights as they are.

    Args:
        halflife: images after which a weight counts half.
        rampup: share of the images seen that bounds the half-life; None for no bound.
        images: of one optimizer step.

    Raises:
        ConfigError: for a half-life or a share that is not positive.
    """

    def __init__(self, halflife: float, rampup: float | None, images: int) -> None:
        for name, value in (("halflife", halflife), ("rampup", rampup)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"ema.{name}: {value}; allowed are positive numbers")
        self.halflife, self.rampup, self.images = halflife, rampup, images

    def decay(self, updates: int) -> float:
        seen = updates * self.images
        halflife = self.halflife if self.rampup is None else min(self.halflife, self.rampup * seen)
        return 0.5 ** (self.images / halflife) if halflife > 0 else 0.0


class Power:
    """(1 - 1/t)^(gamma + 1) at step t: weights of step s count as s^gamma; Karras et al. (2024), section 3.1.

    After t steps the weights of step s have the share (s/t)^(gamma+1) - ((s-1)/t)^(gamma+1): the integral of the
    profile (gamma+1) tau^gamma / t^(gamma+1) over (s-1, s], without an error of discretisation.

    Args:
        length: standard deviation of the profile in units of the training so far (the paper's sigma_rel).

    Raises:
        ConfigError: for a length that no such profile with gamma >= 0 has.
    """

    def __init__(self, length: float) -> None:
        self.gamma = exponent(length, "ema.lengths")

    def decay(self, updates: int) -> float:
        return (1 - 1 / (updates + 1)) ** (self.gamma + 1)


def relative_std(gamma: float) -> float:
    """Standard deviation of the density (gamma+1) u^gamma on [0, 1]; Karras et al. (2024), section 3.1."""
    return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)


def exponent(length: float, field: str) -> float:
    """The gamma >= 0 whose profile has this relative standard deviation.

    The largest root of (gamma + 2)^2 (gamma + 3) = (gamma + 1) / length^2, as an eigenvalue of the cubic's companion
    matrix, then a Newton step for the last digits.

    Raises:
        ConfigError: naming the field, for a length where there is none.
    """
    if not SHORTEST <= length <= LONGEST:
        limits = f"{SHORTEST} to {math.floor(LONGEST * 1e4) / 1e4}"
        raise ConfigError(f"{field}: {length:g}; allowed are numbers from {limits}, the plain mean of all steps")
    s = length**-2
    companion = torch.tensor([[-7.0, s - 16, s - 12], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    gamma = max(root.real for root in torch.linalg.eigvals(companion).tolist())
    value = ((gamma + 7) * gamma + 16 - s) * gamma + 12 - s
    return max(0.0, gamma - value / ((3 * gamma + 14) * gamma + 16 - s))


def label(length: float) -> str:
    """What a length is called in checkpoints and snapshots."""
    return f"{length:g}"
