"""What values may be, beyond the type of their default: one table of ranges."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Which values a field may take, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def shown(value: Any) -> str:
    """A value as it is written in YAML; the beginning of a long one."""
    text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    return text if len(text) <= 100 else f"{text[:97]}..."


def whole(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: Any) -> bool:
    """Whether a value is a finite number that a float can hold; true, false and .nan are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() != "" for item in value)


def folder_name(value: Any) -> bool:
    """Whether a value can be the name of one folder, on any system."""
    if not isinstance(value, str) or not value.strip() or value.startswith(".") or len(value.encode()) > 200:
        return False
    return not set(value) & set("/\\") and value.isprintable()


def duration(value: Any) -> bool:
    """Whether Lightning's timer can read this as a time."""
    if isinstance(value, dict):
        units = {"weeks", "days", "hours", "minutes", "seconds"}
        return value.keys() <= units and all(number(v) and v >= 0 for v in value.values()) and any(value.values())
    return isinstance(value, str) and re.fullmatch(r"\d+(:\d\d){3}", value) is not None


def devices(value: Any) -> bool:
    """Whether Lightning's Trainer can read this as devices."""
    if isinstance(value, list):
        return len(value) > 0 and all(whole(i) and i >= 0 for i in value) and len(set(value)) == len(value)
    return value in ("auto", -1) or (whole(value) and value >= 1)


def batches(least: int) -> Callable[[Any], bool]:
    """Whether Lightning's Trainer can read a value as a number of batches from `least` on, or a share of them."""
    return lambda v: (whole(v) and v >= least) or (isinstance(v, float) and (0 < v <= 1 or v == least == 0))


def pair(value: Any) -> bool:
    """Whether a value is a point of the plane."""
    return isinstance(value, list) and len(value) == 2 and all(map(number, value))


def covariance(value: Any) -> bool:
    """Whether a value is a variance, two of them, or a symmetric matrix; what else a covariance needs comes later."""
    if not isinstance(value, list):
        return number(value) and value >= 0
    return pair(value) or (len(value) == 2 and all(map(pair, value)) and value[0][1] == value[1][0])


COUNT = Range("whole numbers from 1", lambda v: whole(v) and v >= 1)
NATURAL = Range("whole numbers from 0", lambda v: whole(v) and v >= 0)
SEED = Range("whole numbers from 0 to 2^63 - 1", lambda v: whole(v) and 0 <= v < 2**63)
POSITIVE = Range("positive numbers", lambda v: number(v) and v > 0)
NOT_NEGATIVE = Range("numbers from 0", lambda v: number(v) and v >= 0)
FINITE = Range("finite numbers", number)
SHARE = Range("numbers from 0 to 1", lambda v: number(v) and 0 <= v <= 1)
PROPER = Range("numbers from 0 to below 1", lambda v: number(v) and 0 <= v < 1)
BETWEEN = Range("numbers between 0 and 1", lambda v: number(v) and 0 < v < 1)
COUNTS = Range("one or more whole numbers from 1", lambda v: len(v) > 0 and all(whole(i) and i >= 1 for i in v))
SIDES = Range("whole numbers from 1", lambda v: all(whole(i) and i >= 1 for i in v))
TEXT = Range("text", lambda v: isinstance(v, str) and v.strip() != "")
TEXTS = Range("a list of texts", texts)
SHARES = Range("one or more numbers from 0 to 1", lambda v: len(v) > 0 and all(map(SHARE.holds, v)))
SWITCH = Range("null, true, false", lambda v: isinstance(v, bool))

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

RANGES: dict[str, Range] = {
    "name": Range("names of a folder: text without / and \\, at most 200 bytes, no dot in front", folder_name),
    "tags": TEXTS,
    "targets": Range(
        "a list of modules, such as [own_models]",
        lambda v: texts(v) and all(m.replace(".", "_").isidentifier() for m in v),
    ),
    "resume": TEXT,
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
    "sweep.direction": Range("minimize, maximize", lambda v: v in ("minimize", "maximize")),
    "sweep.trials": COUNT,
    "sweep.at_once": COUNT,
    "replay": TEXT,
    "data.root": TEXT,
    "data.seed": SEED,
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
    "loss.noise": Range("null or numbers from 0", NOT_NEGATIVE.holds),
    "loss.scale": NOT_NEGATIVE,
    "loss.channels": Range("even numbers from 2", lambda v: whole(v) and v >= 2 and v % 2 == 0),
    "times.log_snr_min": FINITE,
    "times.log_snr_max": FINITE,
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
        lambda v: len(v) > 0 and v == sorted(set(v), reverse=True) and all(map(SHARE.holds, v)),
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
    "sampler.churn_max": Range(
        "positive numbers, .inf among them", lambda v: (number(v) and v > 0) or v == float("inf")
    ),
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
    "metrics.budget": Range("numbers from 0.001 to 1", lambda v: number(v) and 0.001 <= v <= 1),
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
    "logger.project": TEXT,
    "logger.entity": TEXT,
    "logger.mode": Range("online, offline, disabled", lambda v: v in ("online", "offline", "disabled")),
    "study.images": COUNT,
    "study.batch": COUNT,
    "study.steps": COUNTS,
    "study.etas": SHARES,
    "study.samples": COUNT,
    "study.draws": COUNT,
    "study.full_draws": NATURAL,
    "study.pairs": COUNT,
    "study.between": COUNT,
    "study.strip_steps": COUNT,
    "study.codes": COUNT,
    "study.tolerance": BETWEEN,
    "study.seed": SEED,
    "study.sigma": POSITIVE,
    "study.share": BETWEEN,
    "study.points": COUNT,
    "study.edges": Range(
        "two or more rising numbers from 0",
        lambda v: len(v) > 1 and v == sorted(set(v)) and all(map(NOT_NEGATIVE.holds, v)),
    ),
    "study.last": Range("numbers above 0, at most 1", lambda v: number(v) and 0 < v <= 1),
    "study.step_size": POSITIVE,
    "study.times": SHARES,
    "study.permutations": COUNT,
    "study.floors": COUNT,
    "study.metrics": TEXTS,
    "study.higher": TEXTS,
    "trainer.accelerator": Range(
        "auto, cpu, gpu, cuda, mps, tpu", lambda v: v in ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
    ),
    "trainer.max_time": Range("null, DD:HH:MM:SS, or such as {hours: 2, minutes: 30}", duration),
    "trainer.deterministic": Range("null, true, false, warn", lambda v: isinstance(v, bool) or v == "warn"),
    "trainer.benchmark": SWITCH,
    "trainer.profiler": Range(
        "null, simple, advanced, pytorch, or a section",
        lambda v: isinstance(v, dict) or v in ("simple", "advanced", "pytorch"),
    ),
    "trainer.max_steps": COUNT,
    "trainer.max_epochs": COUNT,
    "trainer.num_nodes": COUNT,
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.devices": Range("auto, whole numbers from 1, -1 for all, or a list of the devices' numbers", devices),
    "trainer.precision": Range(
        "auto, 32-true, bf16-mixed, 16-mixed", lambda v: v in ("auto", "32-true", "bf16-mixed", "16-mixed")
    ),
    "trainer.strategy": Range(  # a section names its class; others would train a copy and leave this process without
        "auto, ddp, ddp_find_unused_parameters_true; FSDP2 is trainer=fsdp",
        lambda v: isinstance(v, dict) or v in ("auto", "ddp", "ddp_find_unused_parameters_true"),
    ),
    "trainer.strategy.block": COUNT,
    "trainer.fast_dev_run": Range(
        "true, false, or whole numbers from 1", lambda v: isinstance(v, bool) or COUNT.holds(v)
    ),
    "trainer.limit_train_batches": Range("null, or positive: whole numbers of batches, or a share up to 1", batches(1)),
    "trainer.limit_val_batches": Range("null, whole numbers of batches from 0, or a share up to 1", batches(0)),
    "trainer.gradient_clip_val": NOT_NEGATIVE,
    "trainer.gradient_clip_algorithm": Range("norm, value", lambda v: v in ("norm", "value")),
    "trainer.log_every_n_steps": COUNT,
    "trainer.val_check_interval": COUNT,
    "run": TEXT,
    "checkpoint": TEXT,
    "devices": COUNT,
    "n": COUNT,
    "chunk": COUNT,
    "runs": Range("a folder or a list of them", lambda v: TEXT.holds(v) or texts(v)),
    "format": TEXT,
    "batch_size": COUNT,
    "steps": Range("whole numbers from 1", lambda v: COUNT.holds(v) or COUNTS.holds(v)),
    "repetitions": COUNT,
    "points": COUNT,
    "tolerances": Range("one or more numbers between 0 and 1", lambda v: len(v) > 0 and all(map(BETWEEN.holds, v))),
    "rows": TEXTS,
    "samplers": TEXTS,
    "animation": Range("null, gif, mp4", lambda v: v in ("gif", "mp4")),
    "out": TEXT,
}


def out_of_range(flat: dict[str, Any]) -> Iterator[str]:
    """A message for each value outside its range; null is left to the types."""
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


def no_numbers(flat: dict[str, Any]) -> Iterator[str]:
    """A message for .nan, which passes comparisons, and for whole numbers that no tensor can hold; in lists too."""
    for field, value in flat.items():
        inner: list[Any] = [value]
        while inner:
            item = inner.pop()
            if isinstance(item, list):
                inner += item
            elif isinstance(item, float) and item != item:
                yield f"{field}: {shown(value)}; allowed are numbers"
            elif whole(item) and abs(item) >= 2**63:
                yield f"{field}: {shown(value)}; allowed are numbers below 2^63"
