"""Two runs that are the same but for clock and memory."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

CLOCKS = ("seconds", "seen", "looking", "loops", "epoch", "memory", "metrics.csv")  # metrics.csv is compared as a file
MACHINE = ("second", "memory_gb")  # in the names of figures that are of the machine


def tensors(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and number of a checkpoint by its path, without what counts seconds and epochs."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in CLOCKS:
                yield from tensors(value, f"{name}/{key}")
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from tensors(value, f"{name}/{i}")
    else:
        yield name, node


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Weights, averages, optimizer, schedule, and whatever is remembered beside them."""
    a, b = (dict(tensors(torch.load(path, weights_only=True))) for path in (one, other))
    assert a.keys() == b.keys()
    assert any(name.startswith("/current_model_state") for name in a)
    assert any(name.startswith("/optimizer_states") and name.endswith("exp_avg_sq") for name in a)
    for name, value in a.items():
        same = torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name]
        assert same or (isinstance(value, float) and value != value), name


def table(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the columns of a clock and of memory."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not any(m in k for m in MACHINE)} for row in csv.DictReader(file)]


def figures(run: Path) -> dict[str, float]:
    """The final figures without those of a clock and of memory."""
    found = json.loads((run / "metrics.json").read_text())
    return {k: v for k, v in found.items() if not any(m in k for m in MACHINE)}


def assert_same_run(one: Path, other: Path) -> None:
    """The same files; the last and the best checkpoint, every logged figure, and all that is made of the weights."""
    files = [
        {
            str(path.relative_to(run))
            for path in run.rglob("*")
            if ".hydra" not in path.parts and not path.match("step_*.ckpt")  # a signal may have added one
        }
        for run in (one, other)
    ]
    assert files[0] == files[1]
    for name in ("last.ckpt", "best.ckpt"):
        paths = [run / "checkpoints" / name for run in (one, other)]
        assert paths[0].exists() == paths[1].exists()
        if paths[0].exists():
            assert_same_checkpoint(*paths)
    assert table(one) == table(other)
    assert figures(one) == figures(other)
    made = [
        {
            path.relative_to(run): path.read_bytes()
            for folder in ("snapshots", "samples")
            for path in (run / folder).rglob("step_*")
        }
        for run in (one, other)
    ]
    assert made[0].keys() == made[1].keys()
    for path, content in made[0].items():
        assert content == made[1][path], path
