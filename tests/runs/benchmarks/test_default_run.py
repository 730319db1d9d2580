"""The row `default_run` on a small run; what it finds is not asserted."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from difflab.errors import ConfigError
from difflab.runs.benchmarks.default_run import default_run

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import run_folder, train

pytest.importorskip("denoising_diffusion_pytorch")
pytestmark = pytest.mark.slow  # a whole run in a process of its own, and one of the other library


def arrays(folder: Path) -> tuple[str, ...]:
    """Settings for grey images of few levels, three of them for testing."""
    for name, n in (("images", 200), ("test", 3)):
        np.save(folder / f"{name}.npy", np.random.default_rng(n).integers(17, size=(n, 8, 8), dtype=np.uint8))
    fields = {"root": folder, "file": "images.npy", "test_file": "test.npy", "levels": 17, "val_size": 40}
    return ("data=npz", *(f"data.{key}={value}" for key, value in fields.items()))


def test_both_are_scored_alike_after_the_same_time(tmp_path):
    code, text = train(*arrays(tmp_path), "metrics=none", "schedule.T=32", "sampler.steps=4", folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    figures = json.loads((run / "metrics.json").read_text())
    (row,) = default_run({"run": str(run)})
    assert row.peer is not None and row.ratio == row.ours / row.peer
    said = re.search(r"difference (\S+) ± (\S+) over", row.how)
    assert said is not None
    difference, error = map(float, said.groups())
    assert difference == pytest.approx(row.ours - row.peer, abs=1e-4)
    assert row.met == (difference + 2 * error < 0)
    assert f"{figures['model/parameters']:,} parameters, 12 steps of 32" in row.how
    assert "825,889 parameters" in row.how and "3 test images" in row.how
    (run / "metrics.json").unlink()
    with pytest.raises(ConfigError, match="allowed are finished runs"):
        default_run({"run": f"{run}/"})  # another name: a run is read once
