"""report.json: everything that the report says, for programs; docs/report.md describes it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from difflab.report.conclusions import conclusions
from difflab.report.made import command, made
from difflab.report.model import Report, Run

SCHEMA = 1  # goes up when a key changes its meaning or goes


def document(report: Report) -> str:
    """The whole of report.json: a number that is none is null, so that every reader of JSON can read it."""
    content = {
        "schema": SCHEMA,
        "title": report.title,
        "made": report.made,
        "version": report.version,
        "command": report.command,
        "sources": report.sources,
        "running": report.running,
        "conclusions": conclusions(report),
        "factors": report.factors,
        "metrics": [asdict(metric) for metric in report.metrics],
        "variants": [
            {
                "name": v.name,
                "levels": v.levels,
                "runs": [run.name for run in v.runs],
                "lost": [run.name for run in v.lost],
            }
            for v in report.variants
        ],
        "cells": [
            {
                "metric": key,
                "variant": name,
                "n": cell.n,
                **asdict(cell),
                "like_best": cell.like_best,
                "untold": cell.untold,
            }
            for key, each in report.cells.items()
            for name, cell in each.items()
        ],
        "pairs": [asdict(pair) for pair in report.pairs],
        "effects": [asdict(effect) for effect in report.effects],
        "runs": [of_run(run) for run in report.runs],
        "problems": report.problems,
        "provenance": [{"what": what, "how": how, "runs": n} for what, how, n in made(report)],
    }
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"


def of_run(run: Run) -> dict[str, Any]:
    """A run without its curves, pictures and evaluations, which its folder has."""
    return {
        "name": run.name,
        "folder": run.path,
        "state": run.state,
        "reason": run.reason,
        "seed": run.seed,
        "seconds": run.seconds,
        "command": command(run),
        "typed": run.typed,
        "settings": run.settings,
        "figures": run.figures,
        "terms": [{"first_step": first, "last_step": last, "bits_per_dim": bits} for first, last, bits in run.terms],
        # What was started holds paths of the machine; what trains it again is `command`.
        "environment": {key: value for key, value in run.environment.items() if key != "command"},
    }


def plain(node: Any) -> Any:
    """The same of what JSON has."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    if isinstance(node, float):
        return node if isfinite(node) else None
    return str(node) if isinstance(node, Path) else node
