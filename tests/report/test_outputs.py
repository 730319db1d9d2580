"""The files of a report: what is in them, and that no text of anybody else's becomes markup, code or a second line."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import pytest

from difflab.report import as_json, latex, markdown, rows
from difflab.report.compare import compare
from difflab.report.conclusions import conclusions
from difflab.report.files import check, write
from difflab.report.model import Report
from difflab.report.words import estimate, p_is, ranged

sys.path.insert(0, str(Path(__file__).parent))
from grids import BITS, DISTANCE, grid, made_run

EVIL = '<script>alert(1)</script>|`x`$\\input{a}$%#&_^~{}"[b](c)*\n# d\x1b[31m é'


@pytest.fixture(scope="module")
def report() -> Report:
    """Schedules by losses with three seeds, a failed and a running run."""
    factors = {"schedule": ("linear", "cosine"), "loss": ("simple", "vlb")}
    luck = {0: -0.02, 1: 0.03, 2: 0.01}
    runs = grid(factors, (0, 1, 2), lambda v, s: 3 - 0.4 * ("cosine" in v) - 0.002 * s * ("vlb" in v) + luck[s])
    more = {
        f"{BITS}_images": 360,
        "seconds/train": 12.5,
        "train/steps": 1500,
        DISTANCE: 9.0,
        f"{DISTANCE}_samples": 100,
        f"{DISTANCE}_floor": 4.0,
    }
    environment = {"python": "3.11.7", "packages": {"torch": "2.6"}, "commit": "abc", "command": ["/home/me/train.py"]}
    made: dict[str, Any] = {"environment": environment}
    how = {"sampler": "ddim", "sampler.steps": "50", "ema": "constant", "ema.decay": "0.999"}
    runs = [replace(run, figures={**run.figures, **more}, settings={**run.settings, **how}, **made) for run in runs]
    runs.append(made_run("12", {"schedule": "cosine"}, 3, {}, state="failed", reason="ValueError: two|things"))
    runs.append(made_run("13", {"schedule": "cosine"}, 4, {}, state="running"))
    return compare(runs, ("14: status.json cannot be read",), ("sweep",), command="python scripts/report.py runs=sweep")


def evil() -> Report:
    """Whatever a user can name is called so."""
    runs = [
        made_run(f"{i}{EVIL}", {"loss": f"{'ab'[i % 2]}{EVIL}"}, i // 2, {f"test/nll{EVIL}": i + 0.5, BITS: i**2})
        for i in range(4)
    ]
    runs = [replace(run, settings={**run.settings, "name": EVIL}) for run in runs]
    runs.append(made_run("x", {"loss": EVIL}, 9, {}, state="failed", reason=EVIL))
    return compare(runs, (EVIL,), (EVIL,), [f"test/nll{EVIL}", BITS], command=EVIL)


def cells_of(text: str) -> list[list[str]]:
    """The places of all tables of a Markdown text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_has_the_table_with_n_and_marks(report):
    text = markdown.document(report)
    (plain,) = (row for row in cells_of(text) if row[:2] == ["linear", "simple"] and "±" in row[2])
    assert plain[2] == "3.007 ± 0.063 (n = 3)"
    (best,) = (row for row in cells_of(text) if row[:2] == ["cosine", "vlb"] and "**" in row[2])
    assert best[2] == "**2.605 ± 0.060 (n = 3)**"
    (like,) = (row for row in cells_of(text) if row[:2] == ["cosine", "simple"] and "±" in row[2])
    assert like[2].endswith("(n = 3) \\*")
    assert "not told from the best at 5%: paired t; p: of no difference to the best, Holm-adjusted over all 6" in text
    assert ["real data", "", "", "4"] in cells_of(text)


def test_no_interval_stands_without_n(report):
    for text in (markdown.document(report), latex.document(report), markdown.brief(report)):
        numbers = re.findall(r"[\d.]+ (?:±|\$\\pm\$) [\d.]+(.{8})", text)
        assert set(numbers) == {" (n = 3)"}
    assert estimate(2.9, nan, 1) == "2.9 (n = 1)" and estimate(nan, nan, 0) == ""


def test_numbers_are_rounded_to_their_interval():
    assert estimate(2.94061, 0.01234, 3) == "2.941 ± 0.012 (n = 3)"
    assert estimate(1234.5, 123.4, 3) == "1,234 ± 123 (n = 3)"
    assert estimate(1e-9, 2.5e-10, 3) == "1e-09 ± 2.5e-10 (n = 3)"
    assert ranged(-0.5, 0.12) == "-0.50 [-0.62, -0.38]" and ranged(3.0, nan) == "3"
    assert estimate(2.5, 0.0, 3) == "2.5 ± 0 (n = 3)"
    assert (p_is(0.0004), p_is(0.0123), p_is(0.456)) == ("p < 0.001", "p = 0.012", "p = 0.46")


def test_a_variant_that_lost_seeds_says_so(report):
    """Survivors are not the whole of it; who has none stays in the table."""
    runs = grid({"loss": ("a", "b", "c")}, (0, 1, 2), lambda v, s: 3 - 0.1 * (v[0] == "b") + 0.01 * s)
    gone = {"4": "failed", "5": "failed", "6": "failed", "7": "running", "8": "missing"}
    runs = [replace(run, state=gone[run.name], figures={}) if run.name in gone else run for run in runs]
    told = compare(runs, (), ("made",))
    text = markdown.document(told)
    assert ["b", "**2.9 (n = 1 of 3)**"] in cells_of(text) and ["c", "n = 0 of 3"] in cells_of(text)
    assert "n = 1 of 3: the runs of the other seeds" in text
    assert "2.9 (n = 1); 2 of its 3 runs failed; too few runs" in conclusions(told)[0]
    assert conclusions(told)[0].endswith("; 1 choice has no figure.")
    assert estimate(2.9, nan, 1, 3) == "2.9 (n = 1 of 3)" and estimate(nan, nan, 0, 3) == "n = 0 of 3"
    again = compare([*runs, replace(runs[0], name="again", seed=1), replace(runs[3], name="4b", seed=1)], (), ())
    assert "1 of its 2 runs" not in conclusions(again)[0] and "1 of its 3 runs failed" in conclusions(again)[0]


def test_long_tables_and_sentences_are_cut_and_say_so():
    runs = grid({"optim.lr": tuple(map(str, range(16)))}, (0, 1), lambda v, s: float(v[0]) ** 2 + 0.1 * s * float(v[0]))
    text = markdown.document(compare(runs, (), ("made",)))
    pairs = text.partition("## Differences")[2].partition("## ")[0]
    assert len(cells_of(pairs)) == 2 + 100 and "These are the 100 of 120 with the least p" in pairs
    assert "; 11 more levels in the table." in text


def test_what_did_not_end_well_is_listed_with_its_reason(report):
    text = markdown.document(report)
    assert ["12", "failed", "ValueError: two\\|things", "schedule=cosine seed=3"] in cells_of(text)
    assert ["13", "running", "", "schedule=cosine seed=4"] in cells_of(text)
    assert ["14: status.json cannot be read"] in cells_of(text)
    assert conclusions(report)[-1] == "2 of 14 runs do not count (1 failed, 1 running)."
    assert conclusions(replace(report, runs=report.runs[:13]))[-1] == "1 of 13 runs does not count (1 failed)."


def test_it_says_how_each_figure_was_made(report):
    told = {row[0]: row[1:] for row in cells_of(markdown.document(report)) if len(row) == 3}
    assert told["bits/dim"] == ["360 images", "12 runs"]
    assert told["Frechet distance, classifier features"] == ["100 samples, ddim, 50 steps", "12 runs"]
    assert told["training"] == ["1,500 steps", "12 runs"]
    assert told["weights"] == ["EMA of decay 0.999", "12 runs"]
    assert told["versions"] == ["python 3.11.7, torch 2.6", "12 runs"] and told["commit"] == ["abc", "12 runs"]
    assert told["this report"][0].startswith("python scripts/report.py runs=sweep, ")


def test_the_table_of_runs_has_every_figure_in_full(report):
    table = list(csv.DictReader(StringIO(rows.document(report))))
    assert [row["run"] for row in table] == [str(i) for i in range(14)]
    assert [row["state"] for row in table] == ["done"] * 12 + ["failed", "running"]
    assert float(table[5][BITS]) == report.runs[5].figures[BITS] and table[5]["seconds/train"] == "12.5"
    assert (table[5]["schedule"], table[5]["loss"], table[5]["seed"]) == ("linear", "vlb", "2")
    assert table[12]["reason"] == "ValueError: two|things" and table[12][BITS] == ""
    assert table[5]["variant"] == "schedule=linear loss=vlb"


def test_json_has_it_all_and_no_token_that_is_not_json(report):
    broken = replace(report.runs[0], figures={**report.runs[0].figures, "test/fid": inf, "test/kid": nan})
    text = as_json.document(replace(report, runs=(broken, *report.runs[1:])))

    def never(token: str) -> None:
        raise AssertionError(token)

    plain = json.loads(text, parse_constant=never)
    assert plain["schema"] == 1 and plain["running"] is True
    assert plain["runs"][0]["figures"]["test/fid"] is None and plain["runs"][0]["figures"]["test/kid"] is None
    assert plain["metrics"][0] == {"key": BITS, "title": "bits/dim", "higher": False, "floor": None}
    cell = plain["cells"][0]
    assert cell["mean"] == report.cells[BITS][cell["variant"]].mean and cell["n"] == 3
    assert len(plain["pairs"]) == len(report.pairs) and len(plain["effects"]) == len(report.effects)
    assert plain["conclusions"] == conclusions(report)
    assert plain["variants"][0]["runs"] == ["0", "1", "2"]
    assert plain["runs"][0]["environment"]["commit"] == "abc" and "/home/me" not in text
    assert plain["runs"][0]["command"].startswith("python train.py schedule=linear")
    assert all(isfinite(pair["p"]) for pair in plain["pairs"])


def test_the_schema_is_the_documented_one(report):
    """Every key of report.json is in docs/report.md."""
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    plain = json.loads(as_json.document(report))
    keys = set(plain)
    for part in ("metrics", "variants", "cells", "pairs", "effects", "runs", "provenance"):
        keys |= set(plain[part][0])
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_markdown_shows_any_text_as_text():
    text = markdown.document(evil())
    assert "<script" not in text and "\x1b" not in text
    assert not re.search(r"(?<!\\)`", text) and not re.search(r"(?<!\\)\$", text)
    assert "[b](c)" not in text and "[b\\](c)" in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]
    tables, widths = [], {}
    for line in text.splitlines():
        tables.append(line.startswith("|"))
        if tables[-1]:
            widths.setdefault(tables.count(False), set()).add(len(cells_of(line)[0]))
    assert all(len(each) == 1 for each in widths.values())


def test_the_terminal_is_told_no_control_characters():
    assert not set(markdown.brief(evil())) & set(map(chr, range(32))) - {"\n"}


def test_latex_has_booktabs_with_every_special_sign_escaped():
    text = latex.document(evil())
    body = text.split("\n", 1)[1]
    plain = body
    for command in (
        r"\textbackslash{}",
        r"\textasciitilde{}",
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
    ):
        assert command in plain
        plain = plain.replace(command, "")
    plain = re.sub(r"\\[&%#$_{}]", "", plain)
    assert not set(plain) & set("%#^~_\x1b") - set("^")
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    for block in re.findall(r"\\begin\{tabular\}\{(l+)\}\n(.*?)\\end\{tabular\}", body, re.DOTALL):
        lines = [line for line in block[1].splitlines() if line.endswith(r"\\")]
        assert len(lines) > 1
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(block[0]) - 1 for line in lines)
        assert not any(line.lstrip().startswith("[") for line in lines)
        assert [line for line in block[1].splitlines() if line.startswith(r"\top")] == [r"\toprule"]
    assert text.startswith("% ") and "\n" not in text.splitlines()[0]


def test_latex_prints_what_would_be_an_argument_a_dash_or_no_letter():
    assert latex.escape("[1, 2] a--b é \u4e01 — <5%") == "{[}1, 2{]} a-{}-b é ? \\textemdash{} \\textless{}5\\%"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path):
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs}"
    whole = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{report}}\end{{document}}"
    (tmp_path / "report.tex").write_text(latex.document(evil()))
    (tmp_path / "whole.tex").write_text(whole)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "whole.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_page_is_left_out_with_a_line_where_its_libraries_are_missing(report, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "jinja2"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("difflab.report.page")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    check(tmp_path / "new")
    written = write(report, tmp_path / "new")
    assert {path.name for path in written} == {f"report.{end}" for end in ("md", "csv", "tex", "json")}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in written)
    assert capsys.readouterr().err == "report.html needs jinja2: pip install 'difflab[report]'\n"


def test_no_cell_of_the_csv_is_a_formula(report):
    """What a spreadsheet would run is text there; numbers stay numbers."""
    named = replace(report.runs[0], name="=1+cmd|' /C calc'!A0", reason="@here", figures={"x": -1.5, "y": 2.0})
    (line,) = csv.DictReader(StringIO(rows.document(replace(report, runs=(named,), variants=()))))
    assert line["run"].startswith("'=1") and line["reason"] == "'@here"
    assert (line["x"], line["y"]) == ("-1.5", "2.0")
