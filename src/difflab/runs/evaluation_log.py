"""What scripts/evaluate.py tells a logger: one run of W&B, or one folder of TensorBoard, for the whole call."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from difflab.runs import comparison
from difflab.runs.comparison import CALLS, Point
from difflab.runs.finished import Finished
from difflab.runs.folder import RunFolder, environment
from difflab.runs.settings import GROUPS
from difflab.runs.trainer import chosen_loggers, close
from difflab.training.loggers import Shows

if TYPE_CHECKING:
    from difflab.plots import Curve


class EvaluationLog:
    """Begins with the first point that was computed, in the project and the group of its run."""

    def __init__(self) -> None:
        self.loggers: list[Logger] | None = None
        self.told = 0
        self.error: BaseException | None = None

    def tell(self, cfg: DictConfig, finished: Finished, point: Point, pictures: Mapping[str, Path]) -> None:
        """The figures and pictures of one more point."""
        if self.loggers is None:
            self.loggers = begun(cfg, finished, point)
        for logger in self.loggers:
            logger.log_metrics(dict(point.figures), self.told)
            if isinstance(logger, Shows):
                for name, path in pictures.items():
                    logger.picture(f"samples/{'grid' if name == 'samples' else name}", path, self.told)
        self.told += 1

    def end(self, points: Sequence[Point]) -> None:
        """All points beside each other, and their curves; then nothing more."""
        for logger in self.loggers or []:
            if isinstance(logger, Shows):
                logger.table("quality", *side_by_side(points), self.told)
                for name, curves in comparison.by_calls(points).items():
                    draw(logger, f"quality/{name.removeprefix('test/')}", "network calls", curves, self.told)
                for name, curves in comparison.by_length(points).items():
                    draw(logger, f"ema_length/{name.removeprefix('test/')}", "EMA length", curves, self.told)
        close(self.loggers or [], self.error)
        self.loggers = []


def begun(cfg: DictConfig, finished: Finished, point: Point) -> list[Logger]:
    """The logger of the command line, with the run's own project where nothing else is said."""
    folder, config = RunFolder(Path(finished.path)), finished.config()
    node: Any = OmegaConf.to_container(cfg.logger, resolve=True)
    own = config.get("logger") or {}
    node |= {key: own.get(key) for key in ("project", "entity") if key in node and node[key] is None}
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    chosen = folder.choices() | {group: point.settings[group] for group in GROUPS if group in point.settings}
    said = {"logger": node, "run": finished.path, "checkpoint": finished.checkpoint, "targets": finished.targets}
    typed = [f"{key}={value}" for key, value in point.settings.items()]
    told = {**config, **said, "choices": chosen, "environment": environment(typed)}
    name, place = f"{config['name']}/{folder.path.name}/{stamp}", folder.path / "evaluations" / stamp
    return chosen_loggers(told, folder, "eval", name, place, axis="point")


def side_by_side(points: Sequence[Point]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: what varies, network calls, and the main figures with their errors."""
    fields, names = comparison.varied(points), []
    for name in (CALLS, *comparison.main_figures(points)):
        names += [key for key in (name, f"{name}_stderr") if any(key in point.figures for point in points)]
    rows = [[*map(point.settings.get, fields), *map(point.figures.get, names)] for point in points]
    return [*fields, *names], rows


def draw(logger: Shows, name: str, x: str, curves: "Sequence[Curve]", step: int) -> None:
    """Curves along x, in one table."""
    rows = [
        (at, value, None if isnan(error) else error, curve.name)
        for curve in curves
        for at, value, error in zip(curve.x, curve.values, curve.errors, strict=True)
    ]
    by = "settings" if len(curves) > 1 else None
    logger.line(name, (x, name.rpartition("/")[2], "standard error", "settings"), rows, step, by=by)
