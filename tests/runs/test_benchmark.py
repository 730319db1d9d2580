"""scripts/benchmark.py measures what it says and writes it down; what it finds is not asserted."""

import json
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.runs import benchmark
from difflab.runs.paths import CONFIGS

sys.path.insert(0, str(Path(__file__).parent))
from children import script


@pytest.mark.slow
def test_rows_are_measured_and_written(tmp_path):
    options = ["rows=[coefficients,overhead]", "repetitions=1", "out=table.json"]
    code, text = script("benchmark", options, tmp_path)
    assert code == 0, text
    rows = {row["name"]: row for row in json.loads((tmp_path / "table.json").read_text())["rows"]}
    assert rows.keys() == {"coefficients", "trainer, smallest network"} and rows["coefficients"]["ours"] > 0
    assert all(row["target"] and isinstance(row["met"], bool) and row["how"] for row in rows.values())
    assert all(name in text for name in rows)


@pytest.mark.slow
def test_unknown_row_is_refused(tmp_path):
    code, text = script("benchmark", ["rows=[speed]"], tmp_path)
    assert code == 2
    assert "rows: speed; allowed are train, overhead, sampling" in text


def test_all_measurements_are_made_by_default():
    assert OmegaConf.load(CONFIGS / "benchmark.yaml").rows == list(benchmark.MEASUREMENTS)


@pytest.mark.parametrize("name", benchmark.MEASUREMENTS)
def test_every_measurement_is_a_function(name):
    assert callable(benchmark.MEASUREMENTS[name].load())
