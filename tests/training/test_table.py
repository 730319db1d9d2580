"""metrics.csv is whole at any time and never repeats a step."""

import csv

from difflab.training import Table


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_figures_of_a_step_share_its_row_and_columns_grow(tmp_path):
    table = Table(tmp_path / "metrics.csv")
    table.log_metrics({"train/loss": 1.5}, 2)
    table.log_metrics({"train/loss": 1.25}, 4)
    table.log_metrics({"val/loss": 3.0}, 4)
    assert read(tmp_path / "metrics.csv") == [
        {"step": "2", "train/loss": "1.5", "val/loss": ""},
        {"step": "4", "train/loss": "1.25", "val/loss": "3.0"},
    ]


def test_rewind_takes_back_later_rows_and_half_a_line(tmp_path):
    path = tmp_path / "metrics.csv"
    table = Table(path)
    for step in (2, 4, 6, 8):
        table.log_metrics({"train/loss": float(step)}, step)
    with path.open("a") as file:
        file.write("1")  # a crash in the middle of writing step 10
    table = Table(path)
    table.rewind(6)
    table.log_metrics({"train/loss": 7.0}, 7)
    assert [row["step"] for row in read(path)] == ["2", "4", "6", "7"]


def test_the_text_of_a_checkpoint_makes_up_for_whatever_has_become_of_the_file(tmp_path):
    """Cut at any byte, zeroed by a blackout, gone: the same bytes again."""
    path = tmp_path / "metrics.csv"
    table = Table(path)
    for step in (2, 4, 6):
        table.log_metrics({"train/loss": step / 3}, step)
    table.log_metrics({"val/loss": 0.1}, 6)
    kept, whole = table.text(), path.read_bytes()
    table.log_metrics({"train/loss": 0.5}, 8)
    longer = path.read_bytes()
    for damaged in [*(longer[:n] for n in range(len(longer))), longer + bytes(99), b"\xff", None]:
        path.unlink() if damaged is None else path.write_bytes(damaged)
        Table(path).rewind(6, kept)
        assert path.read_bytes() == whole
    path.write_bytes(whole + bytes(99))
    Table(path).rewind(6)  # of a checkpoint that has none
    assert path.read_bytes() == whole


def test_what_is_appended_equals_what_is_rewritten(tmp_path):
    path = tmp_path / "metrics.csv"
    table = Table(path)
    for step in range(5):
        table.log_metrics({"b": step / 3, "a": step}, step)
    appended = path.read_bytes()
    table.write()
    assert path.read_bytes() == appended
