"""What values may be, beyond the type of their default: one table of ranges, and rules between fields."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Config = dict[str, Any]


class Range(NamedTuple):
    """Which values a field may take, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def shown(value: Any) -> str:
    """A value as it is written in YAML."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def whole(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def devices(value: Any) -> bool:
    """Whether Lightning's Trainer can read this as devices."""
    if isinstance(value, list):
        return len(value) > 0 and all(whole(i) and i >= 0 for i in value)
    return value in ("auto", -1) or (whole(value) and value >= 1)


def pair(value: Any) -> bool:
    """Whether a value is a point of the plane."""
    numbers = isinstance(value, list) and all(isinstance(x, int | float) for x in value)
    return numbers and len(value) == 2 and all(abs(x) < float("inf") for x in value)


def covariance(value: Any) -> bool:
    """Whether a value is a variance, two of them, or a symmetric matrix; what else a covariance needs comes later."""
    if not isinstance(value, list):
        return 0 <= value < float("inf")
    return pair(value) or (len(value) == 2 and all(map(pair, value)) and value[0][1] == value[1][0])


COUNT = Range("whole numbers from 1", lambda v: whole(v) and v >= 1)
NATURAL = Range("whole numbers from 0", lambda v: whole(v) and v >= 0)
SEED = Range("whole numbers from 0 to 2^63 - 1", lambda v: whole(v) and 0 <= v < 2**63)
POSITIVE = Range("positive numbers", lambda v: 0 < v < float("inf"))
NOT_NEGATIVE = Range("numbers from 0", lambda v: 0 <= v < float("inf"))
FINITE = Range("finite numbers", lambda v: abs(v) < float("inf"))
SHARE = Range("numbers from 0 to 1", lambda v: 0 <= v <= 1)
PROPER = Range("numbers from 0 to below 1", lambda v: 0 <= v < 1)
BETWEEN = Range("numbers between 0 and 1", lambda v: 0 < v < 1)
COUNTS = Range("one or more whole numbers from 1", lambda v: len(v) > 0 and all(whole(i) and i >= 1 for i in v))
SIDES = Range("whole numbers from 1", lambda v: all(whole(i) and i >= 1 for i in v))
TEXT = Range("text", lambda v: isinstance(v, str) and v.strip() != "")

# Fields whose type is not that of their default, and fields that may be null where their default is not.
FREE = {"trainer.devices", "trainer.fast_dev_run", "trainer.precision", "sampler.clip", "data.covariances"}
NULLABLE = {
    "trainer.devices",
    "trainer.fast_dev_run",
    "trainer.precision",
    "sampler.steps",
    "sampler.step_size",
    "metrics.images",
    "metrics.distances",
    *(
        f"metrics.distances.{name}"
        for name in ("frechet", "infinity", "kernel", "inception_score", "precision_recall", "mmd", "memorisation")
    ),
    "likelihood.images",
    "likelihood.probes",
    "metrics.samples",
    "metrics.nll",
    "metrics.every",
    "features.sha256",
    "trainer.gradient_clip_val",
    "ema.rampup",
}

# The first must be below the second.
ORDERED = (
    ("schedule.sigma_min", "schedule.sigma_max"),
    ("schedule.beta_min", "schedule.beta_max"),
    ("schedule.log_snr_min", "schedule.log_snr_max"),
    ("schedule.start", "schedule.end"),
    ("c_noise.lowest", "c_noise.highest"),
    ("times.log_snr_min", "times.log_snr_max"),
)

RANGES: dict[str, Range] = {
    "name": TEXT,
    "outputs": TEXT,
    "cache": TEXT,
    "seed": SEED,
    "generation.seed": SEED,
    "generation.chunk": COUNT,
    "checkpoints.every": COUNT,
    "checkpoints.keep": COUNT,
    "watchdog.loss_bound": FINITE,
    "watchdog.skip": NATURAL,
    "sweep.objective": TEXT,
    "sweep.resume": TEXT,
    "replay": TEXT,
    "data.batch_size": COUNT,
    "data.val_size": COUNT,
    "data.workers": NATURAL,
    "data.size": COUNT,
    "data.channels": Range("1 or 3", lambda v: v in (1, 3)),
    "data.test_fraction": BETWEEN,
    "data.test_size": COUNT,
    "data.draw": NATURAL,
    "data.noise": NOT_NEGATIVE,
    "data.weights": Range("one or more positive numbers", lambda v: len(v) > 0 and all(POSITIVE.holds(w) for w in v)),
    "data.means": Range("one or more pairs of finite numbers", lambda v: len(v) > 0 and all(map(pair, v))),
    "data.covariances": Range(
        "for each mean a number from 0, two variances, or a symmetric 2 x 2 matrix",
        lambda v: isinstance(v, list) and all(map(covariance, v)),
    ),
    "c_noise.highest": FINITE,
    "c_noise.lowest": FINITE,
    "model.channels": COUNT,
    "model.width": COUNT,
    "model.blocks": COUNT,
    "model.heads": COUNT,
    "model.groups": COUNT,
    "model.multipliers": COUNTS,
    "model.attention": SIDES,
    "model.dropout": PROPER,
    "schedule.T": Range("whole numbers from 2", lambda v: v >= 2),
    "schedule.beta_first": BETWEEN,
    "schedule.beta_last": BETWEEN,
    "schedule.beta_min": POSITIVE,
    "schedule.beta_max": POSITIVE,
    "schedule.sigma_min": POSITIVE,
    "schedule.sigma_max": POSITIVE,
    "schedule.start": FINITE,
    "schedule.end": FINITE,
    "schedule.tau": POSITIVE,
    "schedule.log_snr_max": FINITE,
    "schedule.log_snr_min": FINITE,
    "schedule.L": Range("null or whole numbers from 2", lambda v: whole(v) and v >= 2),
    "schedule.t_min": BETWEEN,
    "schedule.rho": POSITIVE,
    "schedule.width": COUNT,
    "warp.reference": POSITIVE,
    "schedule.offset": NOT_NEGATIVE,
    "loss.power": FINITE,
    "loss.gamma": POSITIVE,
    "loss.k": POSITIVE,
    "loss.probes": COUNT,
    "loss.most": COUNT,
    "loss.noise": Range("null or numbers from 0", lambda v: not isinstance(v, bool) and 0 <= v < float("inf")),
    "loss.scale": NOT_NEGATIVE,
    "loss.channels": Range("even numbers from 2", lambda v: whole(v) and v >= 2 and v % 2 == 0),
    "times.mean": FINITE,
    "times.std": POSITIVE,
    "times.sigma": POSITIVE,
    "times.cells": COUNT,
    "times.history": COUNT,
    "times.points": COUNT,
    "times.uniform_share": BETWEEN,
    "variance.points": Range("whole numbers from 2", lambda v: whole(v) and v >= 2),
    "grid.rho": POSITIVE,
    "grid.lowest": FINITE,
    "grid.sigma_max": POSITIVE,
    "grid.times": Range(
        "falling numbers from 1 to 0, at least one",
        lambda v: len(v) > 0 and v == sorted(set(v), reverse=True) and all(0 <= t <= 1 for t in v),
    ),
    "sampler.clip": Range("true, false, or a percentile between 0 and 1", lambda v: isinstance(v, bool) or 0 < v < 1),
    "sampler.steps": COUNT,
    "sampler.eta": SHARE,
    "sampler.order": Range("1, 2, 3", lambda v: v in (1, 2, 3)),
    "sampler.inner": COUNT,
    "sampler.corrections": NATURAL,
    "sampler.snr": BETWEEN,
    "sampler.step_size": POSITIVE,
    "sampler.calls": COUNT,
    "sampler.sigma": POSITIVE,
    "sampler.start": NOT_NEGATIVE,
    "sampler.variant": Range("corrected, published", lambda v: v in ("corrected", "published")),
    "sampler.rtol": BETWEEN,
    "sampler.atol": BETWEEN,
    "sampler.churn": NOT_NEGATIVE,
    "sampler.churn_min": NOT_NEGATIVE,
    "sampler.churn_noise": NOT_NEGATIVE,
    "likelihood.batch": COUNT,
    "likelihood.rtol": BETWEEN,
    "likelihood.atol": BETWEEN,
    "likelihood.probes": COUNT,
    "likelihood.draws": Range("whole numbers from 2", lambda v: v >= 2),
    "likelihood.images": COUNT,
    "likelihood.cells": Range("whole numbers from 2", lambda v: whole(v) and v >= 2),
    "likelihood.estimate.steps": Range("even numbers from 2", lambda v: v >= 2 and v % 2 == 0),
    "likelihood.estimate.points": Range("whole numbers from 2", lambda v: v >= 2),
    "likelihood.estimate.uniform_share": BETWEEN,
    "ema.decay": PROPER,
    "ema.length": POSITIVE,
    "ema.halflife": POSITIVE,
    "ema.rampup": POSITIVE,
    "ema.lengths": Range(
        "one or more numbers from 0.001 to 0.2886, each once",
        lambda v: len(v) > 0 and len(set(v)) == len(v) and all(0.001 <= x <= 12**-0.5 for x in v),
    ),
    "ema.snapshot_every": COUNT,
    "features.width": COUNT,
    "features.dimension": Range("1 to 64", lambda v: 1 <= v <= 64),
    "features.steps": COUNT,
    "features.lr": POSITIVE,
    "features.batch": COUNT,
    "features.weights": TEXT,
    "features.sha256": Range(
        "null or 8 to 64 digits 0-9, a-f in quotes", lambda v: 8 <= len(v) <= 64 and set(v) <= set("0123456789abcdef")
    ),
    "metrics.images": COUNT,
    "metrics.samples": COUNT,
    "metrics.draws": COUNT,
    "metrics.directions": COUNT,
    "metrics.permutations": COUNT,
    "metrics.nll": COUNT,
    "metrics.rtol": BETWEEN,
    "metrics.atol": BETWEEN,
    "metrics.pictures": NATURAL,
    "metrics.every": COUNT,
    "metrics.budget": Range("numbers from 0.001 to 1", lambda v: 0.001 <= v <= 1),
    "metrics.distances.infinity.seed": SEED,
    "metrics.distances.kernel.subsets": COUNT,
    "metrics.distances.kernel.size": Range("whole numbers from 2", lambda v: whole(v) and v >= 2),
    "metrics.distances.kernel.seed": Range("whole numbers from 0 to 2^32 - 1", lambda v: whole(v) and 0 <= v < 2**32),
    "metrics.distances.inception_score.splits": COUNT,
    "metrics.distances.inception_score.seed": Range(
        "whole numbers from 0 to 2^32 - 1", lambda v: whole(v) and 0 <= v < 2**32
    ),
    "metrics.distances.precision_recall.k": COUNT,
    "metrics.distances.precision_recall.most": Range("whole numbers from 2", lambda v: whole(v) and v >= 2),
    "metrics.distances.mmd.bandwidth": POSITIVE,
    "optim.lr": POSITIVE,
    "optim.eps": POSITIVE,
    "optim.weight_decay": NOT_NEGATIVE,
    "optim.warmup_steps": NATURAL,
    "optim.final_share": SHARE,
    "optim.betas": Range("two numbers from 0 to below 1", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v)),
    "trainer.max_steps": COUNT,
    "trainer.max_epochs": COUNT,
    "trainer.num_nodes": COUNT,
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.devices": Range("auto, whole numbers from 1, -1 for all, or a list of the devices' numbers", devices),
    "trainer.precision": Range(
        "auto, 32-true, bf16-mixed, 16-mixed", lambda v: v in ("auto", "32-true", "bf16-mixed", "16-mixed")
    ),
    "trainer.strategy": Range(  # a section names its class; others would train a copy and leave this process without
        "auto, ddp, ddp_find_unused_parameters_true",
        lambda v: isinstance(v, dict) or v in ("auto", "ddp", "ddp_find_unused_parameters_true"),
    ),
    "trainer.fast_dev_run": Range("true, false, or whole numbers from 1", lambda v: isinstance(v, bool) or v >= 1),
    "trainer.limit_train_batches": POSITIVE,
    "trainer.limit_val_batches": NOT_NEGATIVE,
    "trainer.gradient_clip_val": NOT_NEGATIVE,
    "trainer.gradient_clip_algorithm": Range("norm, value", lambda v: v in ("norm", "value")),
    "trainer.log_every_n_steps": COUNT,
    "trainer.val_check_interval": COUNT,
    "run": TEXT,
    "checkpoint": TEXT,
    "devices": COUNT,
    "n": COUNT,
    "chunk": COUNT,
    "animation": Range("null, gif, mp4", lambda v: v in ("gif", "mp4")),
    "out": TEXT,
}


def out_of_range(flat: dict[str, Any]) -> Iterator[str]:
    """A message for each value outside its range; None is everybody's own business."""
    for field, (words, holds) in RANGES.items():
        value = flat.get(field)
        if value is None:
            continue
        try:
            fine = holds(value)
        except TypeError:
            fine = False
        if not fine:
            yield f"{field}: {shown(value)}; allowed are {words}"


def contradictions(flat: dict[str, Any], choices: dict[str, str]) -> Iterator[str]:
    """A message for each choice that another choice rules out."""
    T, steps = flat.get("schedule.T"), flat.get("sampler.steps")
    first, last = flat.get("schedule.beta_first"), flat.get("schedule.beta_last")
    if T is not None and first is not None and last is not None and 1000 / T * max(first, last) >= 1:
        least = 1000 * max(first, last)
        yield f"schedule.T: {T}; betas are scaled by 1000/T and must stay below 1: allowed are more than {least:g}"
    between = choices.get("grid") in ("log_snr", "karras", "explicit")  # grids that also visit times between steps
    between = between or choices.get("sampler") == "plain_langevin"  # all of its steps are at one time
    if T is not None and steps is not None and steps > T and not between:
        yield f"sampler.steps: {steps}; allowed are 1 to schedule.T = {T}"
    for low, high in ORDERED:
        a, b = flat.get(low), flat.get(high)
        if a is not None and b is not None and not a < b:
            yield f"{low}: {shown(a)}; allowed are numbers below {high} = {shown(b)}"
    mode = flat.get("logger.mode")
    if mode is not None and mode not in ("online", "offline", "disabled"):
        yield f"logger.mode: {mode}; allowed are online, offline, disabled"
    if mode is not None and choices.get("logger") != "wandb":
        yield f"logger.mode: {mode}; only logger=wandb has modes"
