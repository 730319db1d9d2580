"""scripts/benchmark.py measures what it says and writes it down; what it finds is not asserted."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from children import script

pytestmark = pytest.mark.slow  # whole runs in processes of their own


@pytest.mark.slow
def test_rows_are_measured_and_written(tmp_path):
    code, text = script("benchmark", ["batch_size=1", "steps=1", "repetitions=2", "out=table.json"], tmp_path)
    assert code == 0, text
    rows = {row["name"]: row for row in json.loads((tmp_path / "table.json").read_text())["rows"]}
    assert rows.keys() == {"overhead", "sampler", "coefficients", "first_second", "sweep"}
    assert rows["sampler"]["ratio"] >= 1 and rows["coefficients"]["ours"] > 0
    assert rows["overhead"]["ratio"] == rows["overhead"]["ours"] / rows["overhead"]["peer"]
    assert "unet_cifar10" in rows["overhead"]["how"] and rows["first_second"]["ours"] > 0


def test_unknown_row_is_refused(tmp_path):
    code, text = script("benchmark", ["rows=[speed]"], tmp_path)
    assert code == 2
    assert "rows: speed; allowed are overhead, sampler, coefficients, first_second" in text
