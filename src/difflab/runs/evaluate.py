"""scripts/evaluate.py: figures of a finished run, each call one more line of its evaluations.jsonl."""

from datetime import datetime
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from difflab.plots import bound_terms
from difflab.runs.folder import RunFolder
from difflab.runs.load import load_run
from difflab.runs.results import show, write_terms
from difflab.runs.settings import changes


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """One point of the grid.

    Raises:
        ConfigError: where the run or the settings are refused.
    """
    target = RunFolder.existing("run", cfg.run)
    saved: Any = OmegaConf.to_container(target.read_config("run"))
    overrides = list(HydraConfig.get().overrides.task)
    changed = changes(saved, cfg, overrides)
    run = load_run(cfg.run, cfg.checkpoint, list(cfg.targets), cache=cfg.cache, **changed)
    evaluation = run.evaluate()
    settings = {key: run.config[key] for key in ("likelihood", "sampler", "metrics", "features", "generation")}
    target.record({"overrides": overrides, "step": run.step, "settings": settings} | evaluation.figures)
    if evaluation.terms:
        stem = target.path / "evaluations" / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}_bound_terms"
        stem.parent.mkdir(exist_ok=True)
        write_terms(evaluation.terms, stem.with_suffix(".csv"))
        bound_terms(evaluation.terms, stem.with_suffix(".png"))
    show(evaluation.figures, target.path, None)
