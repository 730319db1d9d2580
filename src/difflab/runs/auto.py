"""schedule.auto: the numbers that NCSNv2's techniques make of the data, in the place of those that nobody chose."""

import logging
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.runs.assemble import schedule_of, untried_sampler
from difflab.runs.processes import is_child
from difflab.runs.resume import key_of
from difflab.runs.validate import defaults
from difflab.samplers import Langevin, PlainLangevin, Sampler
from difflab.schedules import ncsnv2

log = logging.getLogger(__name__)


def filled(
    config: Mapping[str, Any], data: Indexed, cache: Path, overrides: Sequence[str], choices: Mapping[str, str]
) -> dict[str, Any]:
    """The config with schedule.sigma_max and schedule.L, and step size and steps of sampler=langevin, as numbers.

    Techniques 1, 2 and 4 of Song & Ermon (2020). Whatever somebody chose stays, on the command line or in an
    experiment: a value that was typed, or that differs from that of the option's own file. A null step size is solved
    for in any case. Without schedule.auto nothing changes.

    Args:
        config: resolved.
        data: read already.
        cache: folder where the largest distance is kept.
        overrides: the command line.
        choices: the option of each group.

    Raises:
        ConfigError: for data that the techniques do not suit.
    """
    if not config["schedule"].get("auto"):
        return dict(config)
    schedule, sampler = dict(config["schedule"]), dict(config["sampler"])
    known, typed = defaults("train", dict(choices)), {key_of(item) for item in overrides}

    def free(field: str) -> bool:
        group, _, name = field.partition(".")
        return field not in typed and config[group].get(name) == known.get(field)

    found = []
    dimensions, ladder = prod(data.shape), annealed(untried_sampler(config, data))
    if free("schedule.sigma_max"):
        schedule["sigma_max"] = distance(data, cache)
        found.append(
            f"schedule.sigma_max: {schedule['sigma_max']:.5g} by Technique 1, the largest distance between two of "
            f"{len(data.train)} training examples"
        )
    try:
        if ladder and free("schedule.L"):
            schedule["L"] = ncsnv2.levels(schedule["sigma_min"], schedule["sigma_max"], dimensions)
            found.append(
                f"schedule.L: {schedule['L']} by Technique 2, a ratio of at most {ncsnv2.ratio(dimensions):.6g} in "
                f"{dimensions} dimensions"
            )
        schedule["auto"] = False
        if ladder and free("sampler.step_size"):
            sampler["step_size"] = None
        result = {**config, "schedule": schedule, "sampler": sampler}
        if ladder:
            walker: Any = untried_sampler(result, data)
            inner, size = walker.plan(schedule_of(result, data.shape))
            if sampler["step_size"] is None:
                found.append(f"sampler.step_size: {size:.6g} by Technique 4, for {inner} steps at each level")
            sampler |= {"inner": inner, "step_size": size, "calls": None}
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for line in found if not is_child() else []:
        print(line)
        log.info("%s", line)
    return result


def annealed(sampler: Sampler) -> bool:
    """Whether it walks down a ladder of levels, which Techniques 2 and 4 are about."""
    return isinstance(sampler, Langevin) and not isinstance(sampler, PlainLangevin)


def distance(data: Indexed, cache: Path) -> float:
    """The largest distance between two training examples in the model's numbers, computed once for each content."""
    return data.largest_distance(cache)
