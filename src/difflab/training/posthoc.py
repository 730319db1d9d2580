"""Averages of any length after training, from snapshots of a few lengths; Karras et al. (2024), section 3.2."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.errors import ConfigError
from difflab.training.averages import LONGEST, SHORTEST, exponent, label
from difflab.training.snapshots import Average, Snapshots

LIMIT = 1e-2  # of `distance`
RIDGE = 1e-8  # of unit profiles; without it many lengths get coefficients of 1e7, which blow up float32's rounding


class Profile(NamedTuple):
    """How an average at some step counts the training before it: (gamma+1) tau^gamma / step^(gamma+1) up to there.

    Attributes:
        length: relative standard deviation, which gives gamma.
        step: where the average ends.
    """

    length: float
    step: int


def products(a: Sequence[Profile], b: Sequence[Profile]) -> Tensor:
    """Inner products of profiles over the time of training, [len(a), len(b)] float64; appendix C of the paper.

    With m = min(s, t): (g+1)(h+1)/(g+h+1) (m/s)^g (m/t)^h m/(s t), which cannot overflow.
    """
    g, h = (torch.tensor([exponent(p.length, "ema.length") for p in ps], dtype=torch.float64) for ps in (a, b))
    s, t = (torch.tensor([p.step for p in ps], dtype=torch.float64) for ps in (a, b))
    g, s = g[:, None], s[:, None]
    m = torch.minimum(s, t)
    return (g + 1) * (h + 1) / (g + h + 1) * (m / s) ** g * (m / t) ** h * m / (s * t)


def fit(basis: Sequence[Profile], wanted: Sequence[Profile]) -> Tensor:
    """The sums of profiles nearest to others, in the mean square over the time of training.

    Nearest among those that count all of the training as 1: the paper leaves that to the fit, but then what is missing
    of a profile is missing of the weights' size too, which costs a digit where snapshots are few.

    Returns:
        Coefficients, [len(basis), len(wanted)] float64.
    """
    gram, target = products(basis, basis), products(basis, wanted)
    norms = gram.diagonal().sqrt()
    n = len(basis)
    bordered = torch.zeros(n + 1, n + 1, dtype=torch.float64)  # the multiplier of the condition is the last unknown
    bordered[:n, :n] = gram / norms / norms[:, None] + RIDGE * torch.eye(n, dtype=torch.float64)
    bordered[:n, n] = bordered[n, :n] = norms.mean() / norms
    right = torch.cat([target / norms[:, None], norms.mean().expand(1, len(wanted))])
    return torch.linalg.solve(bordered, right)[:n] / norms[:, None]


def distance(basis: Sequence[Profile], wanted: Sequence[Profile], coefficients: Tensor) -> Tensor:
    """How far sums of profiles are from others, [len(wanted)]: the integral of |D(tau)| d log tau.

    D is the difference of the cumulative profiles (tau/step)^(gamma+1). By parts, the weights that a sum gives are
    wrong by the integral of D(tau) dw/d log tau: where weights move by no more than their own norm while the training
    grows by a factor e, the relative error is no more than this. (In trainings of the digits it is 0.05 to 0.3 of it.)
    """
    end, start = (fold(p.step for p in basis) for fold in (max, min))
    log_tau = torch.linspace(math.log(start / end) - 7, 0, 8001, dtype=torch.float64)

    def cumulative(profiles: Sequence[Profile]) -> Tensor:
        power = torch.tensor([exponent(p.length, "ema.length") + 1 for p in profiles], dtype=torch.float64)
        log_step = torch.tensor([math.log(p.step / end) for p in profiles], dtype=torch.float64)
        return ((log_tau[:, None] - log_step).clamp(max=0) * power).exp()

    difference = cumulative(basis) @ coefficients - cumulative(wanted)
    return torch.trapezoid(difference.abs(), log_tau, dim=0)


def reconstruct(
    snapshots: Snapshots, length: float, step: int, held: Mapping[str, Average] | None = None
) -> dict[str, Tensor]:
    """The average of a length at a step, by names of parameters; as it was tracked, where it was.

    Args:
        snapshots: of the run.
        length: relative standard deviation.
        step: of a snapshot, or any where `held` is given.
        held: the averages tracked at this step, by length; None to read them from its snapshot.

    Raises:
        ConfigError: for a length that the snapshots up to there do not give, and snapshots missing or damaged.
    """
    held = last(snapshots, step) if held is None else held
    if label(length) in held:
        return dict(held[label(length)])
    return combined(snapshots, length, step, held, LIMIT)


def last(snapshots: Snapshots, step: int) -> dict[str, dict[str, Tensor]]:
    """The averages tracked at the step of a snapshot.

    Raises:
        ConfigError: where there is none of this step, with the steps that there are.
    """
    steps = snapshots.steps()
    if not steps:
        raise ConfigError(f"ema.length: there are no snapshots in {snapshots.folder}; a run with ema=power makes them")
    if step not in steps and step % snapshots.every:
        raise ConfigError(
            f"ema.length: no snapshot of step {step}; allowed are multiples of {snapshots.every} up to {steps[-1]}"
        )
    return snapshots.read(step)


def combined(
    snapshots: Snapshots, length: float, step: int, held: Mapping[str, Average], limit: float
) -> dict[str, Tensor]:
    """The weights of `reconstruct` from the lengths in `held`, where these come as near as the limit."""
    exponent(length, "ema.length")
    if step < 1:
        raise ConfigError(f"ema.length: {length:g} at step {step}; allowed are checkpoints from step 1")
    earlier = range(snapshots.every, step, snapshots.every)
    basis = [Profile(float(key), t) for t in (*earlier, step) for key in held]
    wanted = [Profile(length, step)]
    coefficients = fit(basis, wanted)
    if distance(basis, wanted, coefficients).item() > limit:
        raise ConfigError(f"ema.length: {length:g}; allowed with the snapshots of step {step} are {reach(basis, step)}")
    parts = iter(coefficients.squeeze(1).tolist())
    sums = {name: torch.zeros(w.shape, dtype=torch.float64) for name, w in next(iter(held.values())).items()}
    for t in (*earlier, step):
        averages = held if t == step else snapshots.read(t)
        for key in held:
            part, average = next(parts), averages.get(key, {})
            for name, total in sums.items():
                if name not in average or average[name].shape != total.shape:
                    raise ConfigError(f"ema.length: the snapshot {snapshots.path(t)} has no {key}/{name} of this model")
                total.add_(average[name].cpu(), alpha=part)
    return {name: total.to(next(iter(held.values()))[name].dtype) for name, total in sums.items()}


def reach(basis: Sequence[Profile], step: int) -> str:
    """The lengths whose distance is within the limit, in words."""
    grid = torch.logspace(math.log10(SHORTEST), math.log10(LONGEST), 200, dtype=torch.float64).clamp(max=LONGEST)
    lengths = sorted({p.length for p in basis} | {math.ceil(length * 1e4) / 1e4 for length in grid.tolist()[:-1]})
    wanted = [Profile(length, step) for length in lengths]
    near = (distance(basis, wanted, fit(basis, wanted)) <= LIMIT).tolist()
    runs = [
        [length for length, _ in run] for good, run in groupby(zip(lengths, near, strict=True), itemgetter(1)) if good
    ]
    return " and ".join(f"{run[0]:g} to {run[-1]:g}" if len(run) > 1 else f"{run[0]:g}" for run in runs)


def left_out(snapshots: Snapshots, step: int) -> dict[str, float]:
    """How far each tracked length at a snapshot is from what the snapshots of the others make of it.

    Returns:
        By length, |made - tracked| / |tracked| over all parameters together.

    Raises:
        ConfigError: where fewer than two lengths are tracked, and for snapshots missing or damaged.
    """
    tracked = last(snapshots, step)
    if len(tracked) < 2:
        raise ConfigError(f"ema.lengths: {', '.join(tracked)}; to leave one out at least two must be tracked")
    errors: dict[str, float] = {}
    for key, average in tracked.items():
        others = {other: w for other, w in tracked.items() if other != key}
        made = combined(snapshots, float(key), step, others, limit=math.inf)
        names = list(average)
        difference = torch.cat([(made[n].double() - average[n].double()).flatten() for n in names])
        errors[key] = (difference.norm() / torch.cat([average[n].double().flatten() for n in names]).norm()).item()
    return errors
