"""evaluations.jsonl: one whole line for each record, whoever else writes."""

import json
from concurrent.futures import ThreadPoolExecutor

from difflab.runs.folder import RunFolder


def records(folder):
    return [json.loads(line) for line in folder.evaluations.read_text().splitlines()]


def test_records_of_many_writers_do_not_interleave(tmp_path):
    """Lines longer than any buffer; each writer opens the file and takes the lock for itself, as processes do."""
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda i: RunFolder(tmp_path).record({"i": i, "x": "x" * 200_000}), range(40)))
    assert sorted(r["i"] for r in records(RunFolder(tmp_path))) == list(range(40))


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path):
    folder = RunFolder(tmp_path)
    folder.record({"i": 1})
    folder.evaluations.write_text(folder.evaluations.read_text() + '{"i": 2, "fi')
    folder.record({"i": 3})
    first, half, last = folder.evaluations.read_text().splitlines()
    assert (json.loads(first)["i"], half, json.loads(last)["i"]) == (1, '{"i": 2, "fi', 3)
