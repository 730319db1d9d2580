"""scripts/evaluate.py: figures of a finished run, each call one more line of its evaluations.jsonl."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from difflab.errors import ConfigError
from difflab.evaluation import Evaluation, Scores, Store
from difflab.plots import bound_terms, ema_lengths, quality
from difflab.runs import comparison
from difflab.runs.assemble import precision_of
from difflab.runs.comparison import Point
from difflab.runs.evaluation_log import EvaluationLog
from difflab.runs.finished import Finished, store_of
from difflab.runs.folder import RunFolder
from difflab.runs.paths import cache_folder
from difflab.runs.results import show, write_terms
from difflab.runs.together import together
from difflab.training.posthoc import left_out
from difflab.training.snapshots import Snapshots

RECORDED = ("likelihood", "guidance", "sampler", "metrics", "features", "generation")
OF_SAMPLES = ("guidance", "sampler", "grid", "features")  # sections that bits per dimension do not depend on
OF_DRAWS = ("distances", "samples", "draws", "force", "pictures", "every", "budget")  # and fields of metrics
told = EvaluationLog()
known: dict[str, Scores] = {}  # bits per dimension that this process has computed, by what determines them


class Found(NamedTuple):
    """What one point of a grid gave, and where its samples are kept until it is written down."""

    evaluation: Evaluation
    scores: Scores | None
    step: int
    store: Store


def main(cfg: DictConfig, folder: RunFolder) -> Point:
    """One point of the grid.

    Raises:
        ConfigError: where the run or the settings are refused.
    """
    overrides = list(HydraConfig.get().overrides.task)
    finished = Finished.of(cfg, overrides)
    target, config, key = RunFolder(Path(finished.path)), finished.config(), of_scores(finished)
    before = known.get(key)
    try:
        found = together(cfg.devices, compute, finished, before)
    except BaseException as error:
        told.error = error
        raise
    evaluation, figures = found.evaluation, found.evaluation.figures
    if found.scores is not None:
        known[key] = found.scores
    settings = {section: config.get(section) for section in RECORDED} | {"ema": {"length": cfg.ema.length}}
    made = {"overrides": overrides, "checkpoint": cfg.checkpoint, "step": found.step, "settings": settings}
    target.record(made | figures)
    found.store.clear()
    stem = target.path / "evaluations" / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    stem.parent.mkdir(exist_ok=True)
    if evaluation.terms and before is None:
        write_terms(evaluation.terms, stem.with_name(f"{stem.name}_bound_terms.csv"))
        bound_terms(next(iter(evaluation.terms.values())), stem.with_name(f"{stem.name}_bound_terms.png"))
    pictures = {name: stem.with_name(f"{stem.name}_{name}.png") for name in evaluation.pictures}
    for name, draw in evaluation.pictures.items():
        draw(pictures[name])
    point = Point(target.path, comparison.settings(overrides), figures)
    told.tell(cfg, finished, point, pictures)
    return point


def compute(finished: Finished, scores: Scores | None) -> Found:
    """The figures of a point, on every process that shares in it.

    Args:
        scores: bits per dimension, where they are known.
    """
    begun = time.monotonic()
    run = finished.load()
    parts, generation = run.parts, run.config["generation"]
    protocol, denoise, data = parts.protocol, parts.denoiser, parts.data
    space = protocol.prepare(parts.extractor, data, cache_folder(run.config["cache"]), denoise.device)
    if protocol.likelihood and scores is None:
        with torch.inference_mode():
            scores = protocol.score(denoise, data, parts.likelihood, generation["seed"])
    precision = precision_of(run.config)
    store = store_of(run.folder, run.config, parts, generation["seed"], generation["chunk"], precision=precision)
    evaluation = protocol.evaluate(denoise, data, parts.likelihood, parts.drawing(run.config, store), space, scores)
    evaluation.figures["seconds/evaluate"] = time.monotonic() - begun
    return Found(evaluation, scores, run.step, store)


def of_scores(finished: Finished) -> str:
    """What determines bits per dimension, as text: two points of a grid of samplers have them in common."""
    config = {section: value for section, value in finished.config().items() if section not in OF_SAMPLES}
    config["metrics"] = {field: value for field, value in config["metrics"].items() if field not in OF_DRAWS}
    return json.dumps([finished.path, finished.checkpoint, finished.ema_length, config], sort_keys=True, default=str)


def summary(points: list[Point]) -> None:
    """The figures of a single point; of several the table that compares them, and their curves."""
    told.end(points)
    if len(points) == 1:
        show(points[0].figures, points[0].run, None)
        return
    out = points[0].run / "evaluations" / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    out.mkdir(parents=True)
    comparison.show(points)
    comparison.write(points, out / "table.csv")
    print(f"table:      {out / 'table.csv'}")
    lines = comparison.by_calls(points)
    if lines:
        quality(lines, comparison.floors(points), out / "quality.png")
        print(f"quality:    {out / 'quality.png'}")
    lines = comparison.by_length(points)
    if lines:
        ema_lengths(lines, comparison.floors(points), out / "ema_lengths.png")
        print(f"EMA curve:  {out / 'ema_lengths.png'}")
        for length, error in trust(points[0].run).items():
            print(f"            length {length} made of the others' snapshots is off by {error:.1e} of its norm")


def trust(run: Path) -> dict[str, float]:
    """By tracked length, the relative error of what the last snapshots of the other lengths make of it."""
    ema = RunFolder.existing("run", run).read_config("run")["ema"]
    snapshots = Snapshots(run, ema["snapshot_every"])
    if len(ema["lengths"]) < 2 or not snapshots.steps():
        return {}
    try:
        return left_out(snapshots, snapshots.steps()[-1])
    except ConfigError:  # some are gone: the curve stands without them
        return {}
