"""scripts/wandb_dashboard.py as users start it, and what a page shows, read from the specification that W&B gets."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import shell

NOWHERE = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "", "NETRC": "/nowhere"}


def dashboard(*arguments: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and error output of the script."""
    child = shell(["scripts/wandb_dashboard.py", *arguments], folder, **(NOWHERE | environment))
    output, errors = child.communicate(timeout=120)
    return child.returncode, output, errors


@dataclass
class Shown:
    """Names that panels ask for.

    Attributes:
        axes: of line plots.
        history: of line plots.
        summary: of what has a single value for a run.
        config: as paths without W&B's own `value`.
        media: pictures and histograms.
        tables: and for each the columns that are drawn.
    """

    axes: set[str] = field(default_factory=set)
    history: set[str] = field(default_factory=set)
    summary: set[str] = field(default_factory=set)
    config: set[str] = field(default_factory=set)
    media: set[str] = field(default_factory=set)
    tables: dict[str, set[str]] = field(default_factory=dict)

    def accessor(self, text: str) -> None:
        """summary:KEY or config:SECTION.value.FIELD."""
        kind, _, name = text.partition(":")
        getattr(self, kind).add(without_value(name) if kind == "config" else name)

    def see(self, kind: str, config: dict[str, Any]) -> None:
        """One panel of this kind."""
        if config.get("groupBy"):
            self.config.add(without_value(config["groupBy"]))
        match kind:
            case "Run History Line Plot":
                self.axes.add(config["xAxis"])
                self.history.update(config["metrics"])
            case "Bar Chart":
                self.summary.update(config["metrics"])
            case "Scatter Plot":
                self.accessor(config["xAxis"])
                self.accessor(config["yAxis"])
            case "Parallel Coordinates Plot":
                for column in config["columns"]:
                    self.accessor(column["accessor"])
            case "Parameter Importance":
                self.summary.add(config["targetKey"])
            case "Media Browser":
                self.media.update(config["mediaKeys"])
            case "Vega2":
                (key,) = [value["value"] for value in every(config, "tableKey")]
                self.tables[key] = set(config["fieldSettings"].values())
            case "Weave":
                (key,) = {found for found in summary_tables(config)}
                self.tables[key] = set()
            case _:
                assert kind == "Run Comparer", kind


def without_value(path: str) -> str:
    """A path in the config as it is on W&B's server, as we write it."""
    section, *fields = path.split(".")
    assert fields[0] == "value", path
    return ".".join([section, *fields[1:]])


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every section of a JSON document."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(inner)


def every(document: Any, name: str) -> list[dict[str, Any]]:
    """The sections that bear a name."""
    return [node for node in nodes(document) if node.get("name") == name]


def summary_tables(config: dict[str, Any]) -> list[str]:
    """The tables that a panel of W&B's own query language picks from summaries."""
    keys = [node["key"]["val"] for node in nodes(config) if isinstance(node.get("key"), dict) and "val" in node["key"]]
    return [key for key in keys if key != "summary"]


def shown(path: Path) -> Shown:
    """What the page at this path asks for."""
    found = Shown()
    for panel in nodes(json.loads(path.read_text())):
        if "viewType" in panel:
            found.see(panel["viewType"], panel["config"])
    return found
