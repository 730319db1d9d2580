"""scripts/wandb_dashboard.py: the workspace of a project and the report of an ablation, on W&B or as JSON."""

import os
from pathlib import Path

from omegaconf import DictConfig

from difflab.dashboard.factors import factor
from difflab.dashboard.view import View
from difflab.errors import ConfigError
from difflab.files import unfinished
from difflab.runs.folder import RunFolder


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Save both pages and say where they are; with dry_run write down what would be saved.

    Raises:
        ConfigError: for a factor that there is not, where wandb-workspaces is not installed, and where W&B cannot be
            reached or refuses.
    """
    factors = tuple(factor(name) for name in cfg.factors)
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        from difflab.dashboard.publish import account, publish
        from difflab.dashboard.report import report
        from difflab.dashboard.workspace import workspace
    except ModuleNotFoundError as error:
        if error.name != "wandb_workspaces":
            raise
        raise ConfigError("wandb_dashboard: wandb-workspaces is missing: pip install 'difflab[dashboard]'") from None
    own = "" if cfg.dry_run else account()
    view = View(cfg.entity or own, cfg.project, cfg.group, factors, cfg.objective, cfg.distance)
    pages = {"workspace": workspace(view), "report": report(view)}
    if not cfg.dry_run:
        for name, url in publish(pages):
            print(f"{name + ':':<12}{url}")
        return
    for name, page in pages.items():
        path = Path(cfg.out, f"{name}.json")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(path) as new:
                new.write_text(page._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1))
        except OSError as error:
            raise ConfigError(f"out: {cfg.out} cannot be written to ({error}); allowed are folders") from error
        print(f"{name + ':':<12}{path}")
