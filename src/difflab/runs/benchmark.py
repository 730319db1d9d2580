"""scripts/benchmark.py: rows of ours against peer and target, all on the machine that it runs on."""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from difflab.errors import ConfigError
from difflab.runs.benchmarks.row import Row
from difflab.runs.folder import RunFolder, environment, write_json


class Measurement(NamedTuple):
    """Rows that are measured together.

    Attributes:
        function: of the settings, in a module of the same name in difflab.runs.benchmarks unless one is given.
        module: that it is in.
        needs: a library of the extra bench.
    """

    function: str
    module: str | None = None
    needs: str | None = None

    def load(self) -> Callable[[dict[str, Any]], list[Row]]:
        """The function, with what it imports."""
        return getattr(import_module(f"difflab.runs.benchmarks.{self.module or self.function}"), self.function)


MEASUREMENTS = {
    "train": Measurement("train", needs="diffusers"),
    "overhead": Measurement("overhead"),
    "sampling": Measurement("sampling", needs="diffusers"),
    "sampler": Measurement("sampler", "sampling"),
    "coefficients": Measurement("coefficients"),
    "first_second": Measurement("first_second"),
    "sweep": Measurement("sweep"),
    "frechet": Measurement("frechet"),
    "memory": Measurement("memory", needs="diffusers"),
    "data": Measurement("data"),
    "scaling": Measurement("scaling"),
    "likelihood": Measurement("likelihood"),
    "default_run": Measurement("default_run", needs="denoising_diffusion_pytorch"),
}


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Measure, print the table, write it: after each measurement, so that a fault loses nothing.

    Raises:
        ConfigError: for rows that do not exist, and for libraries that are not installed.
    """
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    for name in settings["rows"]:
        check(name)
    made, rows = environment([]), []
    for name in settings["rows"]:
        begun = time.monotonic()
        measured = MEASUREMENTS[name].load()(settings)
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
        rows += measured
        if settings["out"] is not None:
            write_json(Path(settings["out"]), {"rows": [row._asdict() for row in rows], "environment": made})
    show(rows)


def check(name: str) -> None:
    """Refuse what cannot be measured.

    Raises:
        ConfigError: naming it.
    """
    if name not in MEASUREMENTS:
        raise ConfigError(f"rows: {name}; allowed are {', '.join(MEASUREMENTS)}")
    needs = MEASUREMENTS[name].needs
    if needs is not None and find_spec(needs) is None:
        raise ConfigError(f"rows: {name} needs {needs}; allowed after pip install 'difflab[bench]', or other rows")


def show(rows: list[Row]) -> None:
    """The table."""
    table = Table("row", "ours", "peer", "ratio", "limit", "target", "met", "how")
    for row in rows:
        numbers = ["" if value is None else f"{value:.4g}" for value in (row.ours, row.peer, row.ratio)]
        table.add_row(row.name, *numbers, row.limit, row.target, "yes" if row.met else "no", row.how)
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)
