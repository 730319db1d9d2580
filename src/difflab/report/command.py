"""scripts/report.py: from finished runs to an answer, once or for as long as they run."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from difflab.errors import ConfigError
from difflab.report import files
from difflab.report.compare import compare
from difflab.report.markdown import brief
from difflab.report.model import Report
from difflab.report.reading import read
from difflab.report.sources import ALLOWED
from difflab.report.watch import look
from difflab.runs.folder import RunFolder
from difflab.runs.names import stamp


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Write the report, and with `watch=true` again whenever something has changed.

    Raises:
        ConfigError: where there are no runs, for figures that none of them has, and for a folder that takes no file.
    """
    if not cfg.runs:
        raise ConfigError(f"runs: {'null' if cfg.runs is None else cfg.runs}; {ALLOWED}")
    sources = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    out = home(sources) if cfg.out is None else Path(cfg.out)
    command = f"python scripts/report.py {shlex.join(HydraConfig.get().overrides.task)}"

    def make() -> Report:
        runs, problems = read(sources)
        report = compare(runs, problems, sources, [*map(str, cfg.figures)], command, list(cfg.higher))
        files.check(out)
        written = files.write(report, out)
        print(brief(report))
        for path in written:
            print(f"{path.suffix[1:]:5} {path}", flush=True)
        return report

    if cfg.watch:
        watch(sources, make, cfg.every)
    else:
        make()


def home(sources: list[str]) -> Path:
    """report/ in the folder that was named; where several were, a folder of its own."""
    if len(sources) == 1 and Path(sources[0]).is_dir():
        return Path(sources[0]) / "report"
    return Path("outputs") / "reports" / stamp()


def watch(sources: list[str], make: Callable[[], Report], every: float) -> None:
    """Make the report anew at each change, until nobody works on a run or a sweep any more; then it is the last one."""
    before, report = None, None
    while True:
        now = look(sources)
        if report is None or now != before:
            report, before = make(), now
        if not now.held and not report.running:
            return
        time.sleep(every)
