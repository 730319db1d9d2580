"""Run folders and sweeps on disk as difflab leaves them, without the training: configs composed from the real YAMLs."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from difflab.runs.names import register_resolvers
from difflab.runs.paths import CONFIGS

STEPS = 1500
EVERY = 50
LOOKS = (500, 1000, 1500)
STRETCHES = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 64), (65, 256), (257, 999), (1000, 1000))
EXITS = {"done": 0, "failed": 1, "refused": 2, "interrupted": 130, "preempted": 143}
RECORDED = ("likelihood", "sampler", "metrics", "features", "generation", "ema")


@cache
def composed(*overrides: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The config of `python train.py OVERRIDES` as typed, the same resolved, and Hydra's own."""
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        whole = compose("train", list(overrides), return_hydra_config=True)
    plain: Any = OmegaConf.to_container(whole, resolve=False)
    hydra, plain["name"] = plain.pop("hydra"), whole.name
    resolved: Any = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    return plain, resolved, hydra


def final_figures(seed: int, shift: float = 0.0) -> dict[str, float]:
    """metrics.json of a run on the digits; `shift` is added to bits/dim, and ten times to the Fréchet distance.

    What a seed does to a figure is the same whatever the shift, so that differences of shared seeds are precise.
    """
    random = Random(seed)
    luck = random.gauss(0, 0.02)
    bits, distance = 2.94 + shift + luck, 15.9 + 10 * shift + 10 * luck
    return {
        "test/bits_per_dim": bits,
        "test/bits_per_dim_stderr": 0.0073,
        "test/bits_per_dim_stderr_images": 0.0206,
        "test/bits_per_dim_prior": 2.1e-05,
        "test/bits_per_dim_decoder": 4.9e-07,
        "test/bits_per_dim_diffusion": bits - 2.1e-05,
        "test/bits_per_dim_calls": 24.7,
        "test/bits_per_dim_images": 360,
        "test/network_calls": 50,
        "test/fd_classifier": distance,
        "test/fd_classifier_samples": 360,
        "test/fd_classifier_draws": 5,
        "test/fd_classifier_stderr": 1.61,
        "test/fd_classifier_floor": 10.16,
        "test/fd_classifier_floor_samples": 360,
        "test/nearest_classifier_closer_share": 0.371,
        "test/classifier_accuracy": 0.986,
        "seconds/evaluate": 22.9,
        "train/loss": 0.071,
        "train/images_per_second": 1268.8,
        "seconds/train": 151.3,
        "train/steps": STEPS,
        "model/parameters": 701345,
        "seed": seed,
    }


def training_curves(figures: Mapping[str, float], seed: int) -> dict[str, dict[int, float]]:
    """metrics.csv of a run that ended with these figures: by column, values by step."""
    random, end = Random(f"curve {seed}"), figures.get("test/bits_per_dim", 3.0)
    steps = range(EVERY, STEPS + 1, EVERY)
    return {
        "train/loss": {s: 0.07 + 20 / (s + 20) * 0.5 + random.gauss(0, 0.003) for s in steps},
        "train/lr": {s: 0.003 * (1 - s / STEPS) for s in steps},
        "train/images_per_second": {s: 1250 + random.gauss(0, 30) for s in steps},
        "val/loss": {s: 0.078 + 10 / s for s in LOOKS},
        "val/bits_per_dim": {s: end + 100 / s for s in LOOKS},
        **{key: {STEPS: value} for key, value in figures.items() if key.startswith("test/")},
    }


def make_run(
    path: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    figures: Mapping[str, float] | None = None,
    curves: Mapping[str, Mapping[int, float]] | None = None,
    terms: Sequence[tuple[int, int, float]] | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    state: str = "done",
    reason: str = "",
    picture: bool = True,
    typed: Sequence[str] | None = None,
    seconds: float | None = 181.2,
    status: Mapping[str, Any] | None = None,
) -> Path:
    """One run folder.

    Args:
        path: of the folder.
        settings: what was typed beside the seed: a group's option or a field's value, such as {"loss": "vlb"}.
        figures: metrics.json; by default those of a usual run. A run that is not done has none.
        curves: metrics.csv, by column values by step; a run that is not done has half of the usual ones.
        terms: bound_terms.csv; by default some that add up to the bits per dimension.
        evaluations: further lines of evaluations.jsonl, beside that of the run itself.
        state: as status.json has it; "running" is without a process behind it, unless `status` names one.
        picture: whether there are sample grids.
        typed: the command line; by default the settings and the seed.
        status: more of status.json.
    """
    settings = dict(settings or {})
    overrides = [f"{field}={value}" for field, value in settings.items()]
    typed = [*overrides, f"seed={seed}"] if typed is None else list(typed)
    hidden = path / ".hydra"
    hidden.mkdir(parents=True)
    config, resolved, hydra = composed(*overrides)
    hydra = hydra | {"overrides": {"hydra": [], "task": typed}, "runtime": hydra["runtime"] | {"output_dir": str(path)}}
    write_yaml(hidden / "config.yaml", config | {"seed": seed})
    write_yaml(hidden / "hydra.yaml", {"hydra": hydra})
    write_yaml(hidden / "overrides.yaml", typed)
    where = {"pid": 2**22 - 1, "host": "elsewhere"} if state == "running" else {"seconds": seconds}
    told = {"state": state, "reason": reason, "exit": EXITS.get(state), "time": "2026-11-22T12:42:42"} | where
    write_json(path / "status.json", told | dict(status or {}))
    (path / "run.log").write_text("[2026-11-22 12:40:00,000][difflab.runs.train][INFO] trained 1500 steps\n")
    if state == "refused":
        return path
    kept = {key: value for key, value in resolved.items() if key not in ("sweep", "replay")} | {"seed": seed}
    write_yaml(path / "config.yaml", kept)
    write_json(path / "environment.json", environment(typed))
    whole = final_figures(seed) if figures is None else dict(figures)
    rows = training_curves(whole, seed) if curves is None else curves
    if state != "done" and curves is None:
        before = {key: column for key, column in rows.items() if not key.startswith("test/")}
        rows = {key: {s: v for s, v in column.items() if s <= STEPS // 2} for key, column in before.items()}
    write_table(path / "metrics.csv", rows)
    (path / "checkpoints").mkdir()
    (path / "samples").mkdir()
    looks = LOOKS if state == "done" else LOOKS[:1]
    for step in looks if picture else ():
        write_picture(path / "samples" / f"step_{step:06d}.png", seed, step)
    if state != "done":
        return path
    write_json(path / "metrics.json", whole)
    own = {"time": "2026-11-22T12:42:42", "settings": {section: kept[section] for section in RECORDED}, **whole}
    with (path / "evaluations.jsonl").open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in (own, *evaluations))
    write_terms(path / "bound_terms.csv", usual_terms(whole) if terms is None else terms)
    return path


def make_sweep(
    path: Path,
    factors: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] = (0, 1, 2),
    effect: Mapping[str, float] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    states: Mapping[int, tuple[str, str]] | None = None,
    picture: bool = True,
) -> Path:
    """A sweep folder: each combination of the factors with each seed, jobs by their number.

    Args:
        factors: by field, its values.
        effect: by FIELD=VALUE, what it adds to bits per dimension (and ten times to the Fréchet distance).
        settings: typed for all jobs.
        states: by number, state and reason of jobs that are not done; "missing" ones get no folder.
    """
    path.mkdir(parents=True)
    jobs, total = [], {**(effect or {})}
    for number, (*levels, seed) in enumerate(product(*factors.values(), seeds)):
        chosen = {**(settings or {}), **dict(zip(factors, levels, strict=True))}
        shift = sum(total.get(f"{field}={value}", 0.0) for field, value in chosen.items())
        own = Random(f"{chosen} {seed}").gauss(0, 0.005)  # what a seed does to this choice alone
        state, reason = (states or {}).get(number, ("done", ""))
        typed = [*(f"{field}={value}" for field, value in chosen.items()), f"seed={seed}"]
        if state != "missing":
            make_run(
                path / str(number),
                settings=chosen,
                seed=seed,
                figures=final_figures(seed, shift + own),
                state=state,
                reason=reason,
                picture=picture,
            )
        seconds = None if state == "missing" else 181.2
        jobs.append({"job": number, "overrides": typed, "state": state, "reason": reason, "seconds": seconds})
    write_json(path / "sweep.json", {"jobs": jobs})
    return path


def environment(typed: Sequence[str]) -> dict[str, Any]:
    """environment.json."""
    return {
        "command": ["python", "train.py", *typed],
        "overrides": list(typed),
        "python": "3.11.7",
        "packages": {"difflab": "0.1.0", "torch": "2.14.1", "lightning": "2.6.6", "wandb": None},
        "commit": "cc52b90bfd703f54e3d03897df6d6719f4f1d08a",
        "modified": False,
        "machine": {"system": "Linux-x86_64", "processor": "x86_64", "cores": 2},
    }


def usual_terms(figures: Mapping[str, float]) -> list[tuple[int, int, float]]:
    """A share of the bits for each stretch of the chain, most of them near the data."""
    weights = [1e-6, *(2.0**-k for k in range(len(STRETCHES) - 2)), 1e-6]
    bits = figures.get("test/bits_per_dim", 3.0)
    return [(*ends, bits * w / sum(weights)) for ends, w in zip(STRETCHES, weights, strict=True)]


def write_yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True))


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_table(path: Path, columns: Mapping[str, Mapping[int, float]]) -> None:
    """metrics.csv: a row for each step, empty where a figure has no value there."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *sorted(columns)])
        for step in sorted({step for column in columns.values() for step in column}):
            writer.writerow([step, *(columns[key].get(step, "") for key in sorted(columns))])


def write_terms(path: Path, terms: Sequence[tuple[int, int, float]]) -> None:
    """bound_terms.csv, with a second bound beside that which counts."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first_step", "last_step", "bits_per_dim", "posterior_unclipped"])
        writer.writerows((first, last, bits, 1.1 * bits) for first, last, bits in terms)


def write_picture(path: Path, seed: int, step: int) -> None:
    """A grid of sixteen blots of eight by eight."""
    Image.frombytes("L", (32, 32), Random(f"{seed} {step}").randbytes(32 * 32)).save(path)
