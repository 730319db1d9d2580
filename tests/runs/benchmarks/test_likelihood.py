"""The row `likelihood` on a small run; what it finds for the default model is not asserted."""

import sys
from pathlib import Path

import pytest
import torch

from difflab.likelihood import Exact
from difflab.runs.benchmarks.likelihood import SEEDS, exact, likelihood
from difflab.runs.benchmarks.trained import trained

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import run_folder, train

pytestmark = pytest.mark.slow  # a whole run in a process of its own


def test_the_row_counts_calls_at_the_same_error(tmp_path):
    code, text = train("metrics=none", "schedule.T=32", "sampler.steps=4", folder=tmp_path)
    assert code == 0, text
    path = str(run_folder(tmp_path))
    (row,) = likelihood({"run": path})
    assert (row.name, row.peer) == ("likelihood", 32)
    assert row.ratio == row.ours / 32
    assert f"over {SEEDS} seeds" in row.how and "z = " in row.how
    assert not row.met  # a twentieth of 32 calls is less than two

    run = trained(path)
    assert trained(path) is run  # the rows of a command share it
    mean, error = exact(run)
    few = torch.tensor([run.scored(Exact(), seed, 60)[0].mean() for seed in range(8)], dtype=torch.float64)
    assert 0.4 < float(few.std()) / (error * 6**0.5) < 2.5  # 60 of 360 images
    assert f"against {mean:.4f} ± {error:.4f} exact" in row.how
