"""scripts/study.py: a study of runs that are finished already."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.runs.folder import RunFolder
from difflab.runs.studies import ask, finished, load, study_of


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Ask each run by itself, or all together where the study is about a sweep.

    Raises:
        ConfigError: where a folder is no run, and where the study does not suit one.
    """
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    study = study_of(config)
    if study is None:
        raise ConfigError("study: none; allowed are the options of configs/study, such as study=bound_terms")
    if not cfg.runs:
        raise ConfigError("runs: null; allowed are a run folder, a sweep's folder, or a list of them [A,B]")
    given = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    runs = load(finished(given), list(cfg.targets))
    for run in runs:
        study.check(run.parts, run.config)
    together = [(runs, Path(given[0]))] if study.of_sweep else [([run], run.folder.path) for run in runs]
    for share, own in together:
        home = own if cfg.out is None else Path(cfg.out) / (own.name if len(together) > 1 else "")
        figures = ask(study, share, home)
        if share[0].folder.path == own:
            share[0].folder.record({"study": config["study"]} | figures)
