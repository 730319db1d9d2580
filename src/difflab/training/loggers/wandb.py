"""Weights & Biases: one run for each run of difflab, online or offline."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from difflab.errors import ConfigError
from difflab.training.checkpoint_files import link
from difflab.training.loggers.network import silence
from difflab.training.loggers.shows import Shows
from difflab.training.loggers.summaries import best
from difflab.training.loggers.table import parsed
from difflab.training.loggers.wandb_begin import QUICK, Wanted, begin, brief
from difflab.training.loggers.wandb_end import finish

log = logging.getLogger(__name__)
MODES = ("online", "offline", "disabled")
AXIS = "trainer/global_step"  # what Lightning's users know it by


class Wandb(Logger, Shows):
    """Figures, pictures and tables of the first process; whatever W&B fails at costs its run, never the training.

    W&B counts what it is told by itself, and leaves out what would go back: a resumed run is never told to. Figures
    are drawn against optimizer steps, which may.

    Args:
        run: of W&B; None for nothing.
        folder: whose FOLDER/wandb/rows keeps how many rows the parts of the run have told, for the next one, and whose
            metrics.csv has the figures of all parts.
        keeps: whether checkpoints become artifacts.
        patience: seconds that the end may take.
        axis: what figures are drawn against.
    """

    def __init__(self, run: Any, folder: Path, keeps: bool, patience: float, axis: str = AXIS) -> None:
        super().__init__()
        self.patience = patience
        self.run, self.folder, self.keeps, self.axis = run, folder / "wandb", keeps, axis
        self.known: set[str] = set()
        self.failed, self.cut = False, False
        self.counter = self.folder / "rows"
        self.rows = 0
        with suppress(OSError, ValueError):
            self.rows = int(self.counter.read_text())
        self.ahead = self.resumed = self.rows > 0
        self.tell(self.begun)

    def begun(self, run: Any) -> None:
        """Say what everything is drawn against."""
        self.rows = max(self.rows, run.starting_step)
        run.define_metric(self.axis)
        run.define_metric("*", step_metric=self.axis)

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str | None:
        return None if self.run is None else self.run.id

    @property
    def experiment(self) -> Any:
        """The run of W&B, for callbacks of the user's own."""
        return self.run

    def tell(self, what: Callable[[Any], Any]) -> None:
        """Do something with the run; the first time that W&B cannot, that is told."""
        if self.run is None:
            return
        try:
            what(self.run)
        except Exception as error:
            log.log(logging.INFO if self.failed else logging.WARNING, "W&B: %s", brief(error))
            self.failed = True

    def reachable(self) -> bool:
        """Whether a table or a file can be told of: W&B first asks the server about it, and may wait for long.

        Figures, pictures and histograms wait for nobody.
        """
        if self.run is None or self.run.offline:
            return True
        if not self.cut:
            reason = silence(self.run.settings.base_url, QUICK)
            self.cut = reason is not None
            if self.cut:
                log.warning("W&B: no answer (%s): tables and checkpoints are left out there", reason)
        return not self.cut

    def row(self, values: Mapping[str, Any], step: int | None) -> None:
        """One row of its history."""

        def told(run: Any) -> None:
            first = {"step": self.rows, "commit": True} if self.ahead else {}
            run.log({**values, self.axis: step}, **first)
            self.ahead = False
            self.rows += 1
            with suppress(OSError):
                self.counter.write_text(f"{self.rows}\n")

        self.tell(told)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration is told when the run begins."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for key in metrics.keys() - self.known:
            self.known.add(key)
            summary = best(key)
            if summary is not None:
                self.tell(lambda run, k=key, s=summary: run.define_metric(k, step_metric=self.axis, summary=s))
        self.row(metrics, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        import wandb

        self.row({name: wandb.Image(str(path))}, step)

    def histogram(self, name: str, counts: Sequence[float], edges: Sequence[float], step: int) -> None:
        import wandb

        pair: Any = (list(counts), list(edges))
        self.row({name: wandb.Histogram(np_histogram=pair)}, step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | None]], step: int) -> None:
        if self.reachable():
            self.row({name: self.made(columns, rows)}, step)

    def line(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str | float | None]],
        step: int,
        title: str = "",
        by: str | None = None,
    ) -> None:
        """The table is NAME_table there, as W&B calls it; NAME is the plot."""
        import wandb

        if self.reachable():
            plot = wandb.plot.line(self.made(columns, rows), columns[0], columns[1], stroke=by, title=title)
            self.row({name: plot}, step)

    @staticmethod
    def made(columns: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> Any:
        import wandb

        return wandb.Table(columns=list(columns), data=[list(row) for row in rows], allow_mixed_types=True)

    def keep(self, checkpoint: Path, aliases: Sequence[str]) -> None:
        """An artifact of type model; its file has a name of its own, as the checkpoint's will be another one's."""
        import wandb

        def told(run: Any) -> None:
            own = self.folder / "models" / f"{aliases[-1]}.ckpt"
            own.parent.mkdir(exist_ok=True)
            link(checkpoint, own)
            artifact = wandb.Artifact(f"model-{run.id}", type="model")
            artifact.add_file(str(own), name="model.ckpt", policy="immutable", skip_cache=True)
            run.log_artifact(artifact, aliases=list(aliases))

        if self.keeps and self.reachable():
            self.tell(told)

    def best_of_all(self) -> None:
        """The best values among those of all parts of the run: this part of W&B knows its own alone."""
        with suppress(OSError):
            rows = parsed((self.folder.parent / "metrics.csv").read_text(errors="replace")).values()
            for key in filter(best, {key for row in rows for key in row}):
                which = best(key)
                values = [float(row[key]) for row in rows if key in row]
                value = min(values) if which == "min" else max(values)
                self.tell(lambda run, k=key, w=which, v=value: run.summary.update({k: {w: v}}))

    def end(self, code: int) -> None:
        """The run has ended with this exit code; what is not uploaded in time is left on the disk."""
        if self.resumed:
            self.best_of_all()
        run, self.run = self.run, None
        if run is None:
            return
        try:
            finish(run, code, self.patience)
        except TimeoutError:
            where = run.settings.sync_dir
            print(f"W&B: not all was uploaded in time; the rest: wandb sync --include-online {where}", flush=True)
        except Exception as error:
            log.warning("W&B: %s", brief(error))


def wandb_logger(
    project: str | None,
    entity: str | None,
    group: str | None,
    mode: str | None,
    notes: str | None,
    log_model: bool,
    patience: float,
    folder: Path,
    name: str,
    tags: Sequence[str],
    settings: Mapping[str, Any],
    sweep: str | None,
    job_type: str,
    code: Callable[[], Mapping[str, str | None]],
    axis: str = AXIS,
) -> Wandb:
    """The logger of a run in its folder; its id is kept there, so that a resumed run goes on with it.

    Args:
        group: of runs; None for that of the environment, else the sweep.
        mode: online, offline, disabled; None for that of the environment, else online where there is an API key.
        log_model: whether the last and the best checkpoint become artifacts.
        patience: seconds that the end of the run waits for uploads.
        settings: what W&B shows as the configuration.
        sweep: whose job the run is.
        code: the git commit, its remote, and what was changed since.

    Raises:
        ConfigError: for an unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise ConfigError(f"logger.mode: {mode}; allowed are {', '.join(MODES)}, or null to choose by itself")
    if getattr(rank_zero_only, "rank", 0) != 0:
        return Wandb(None, folder, log_model, patience, axis)
    group = group or (None if "WANDB_RUN_GROUP" in os.environ else sweep)
    wanted = Wanted(folder, name, job_type, project, entity, group, notes, mode, tags, settings, code, patience)
    return Wandb(begin(wanted), folder, log_model, patience, axis)
