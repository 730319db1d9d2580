"""The row `likelihood` on a small run; what it finds for the default model is not asserted."""

import sys
from pathlib import Path

import pytest

from difflab.runs.benchmarks.likelihood import SEEDS, likelihood

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import run_folder, train

pytestmark = pytest.mark.slow  # a whole run in a process of its own


def test_the_row_counts_calls_at_the_same_error(tmp_path):
    code, text = train("metrics=none", "schedule.T=32", "sampler.steps=4", folder=tmp_path)
    assert code == 0, text
    row = likelihood({"run": str(run_folder(tmp_path))})
    assert (row.name, row.peer) == ("likelihood", 32)
    assert row.ratio == row.ours / 32
    assert f"over {SEEDS} seeds" in row.how and "z = " in row.how
    assert not row.met  # a twentieth of 32 calls is less than two
