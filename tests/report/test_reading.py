"""Runs as their folders tell: whole ones, unfinished ones, and folders broken in every way one could think of."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from difflab.errors import ConfigError
from difflab.report.reading import read
from tests.report.folders import LOOKS, final_figures, make_run, make_sweep, usual_terms, write_json

SEVERAL = {"loss": ["simple", "vlb"]}


def only(path):
    """The one run of a folder, and what was odd."""
    (run,), problems = read([path])
    return run, problems


def test_a_whole_run(tmp_path):
    path = make_run(tmp_path / "r", settings={"schedule": "cosine", "optim.lr": 0.001}, seed=3)
    run, problems = only(path)
    assert problems == ()
    assert (run.name, run.path, run.state, run.reason, run.seed, run.done) == ("r", path, "done", "", 3, True)
    assert run.figures == final_figures(3)
    assert run.typed == ("schedule=cosine", "optim.lr=0.001", "seed=3")
    assert (run.settings["schedule"], run.settings["loss"], run.settings["warp"]) == ("cosine", "simple", "none")
    assert (run.settings["optim.lr"], run.settings["schedule.T"]) == ("0.001", "1000")
    assert (run.settings["model.multipliers"], run.settings["cache"]) == ("[1, 2]", "null")
    assert "experiment" not in run.settings  # no option was chosen
    assert run.terms == tuple(usual_terms(run.figures))
    assert run.curves["val/bits_per_dim"][0] == list(LOOKS)
    assert len(run.curves["train/loss"][0]) == len(run.curves["train/loss"][1]) == 30
    assert run.curves["test/bits_per_dim"] == ([1500], [run.figures["test/bits_per_dim"]])
    assert run.evaluations[0]["settings"]["sampler"]["steps"] == 50
    assert run.environment["packages"]["difflab"] == "0.1.0"
    assert run.pictures == {step: path / "samples" / f"step_{step:06d}.png" for step in LOOKS}
    assert run.seconds == 181.2


def test_no_torch_is_imported_for_it(tmp_path):
    make_run(tmp_path / "r")
    code = (
        "import sys; from difflab.report.reading import read; from difflab.report.factors import variants\n"
        f"assert variants(read([{str(tmp_path)!r}])[0])[1]\n"
        "assert not {'torch', 'lightning', 'pandas'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path).returncode == 0


def test_unfinished_jobs_have_their_state_and_reason(tmp_path):
    states = {
        0: ("failed", "BadStep: the loss is nan at step 7"),
        1: ("refused", "optim.lr: -1; allowed are positive numbers"),
        2: ("preempted", "stopped by SIGTERM after step 300, which is saved"),
        3: ("interrupted", "interrupted"),
        4: ("missing", ""),
    }
    runs, problems = read([make_sweep(tmp_path / "s", SEVERAL, states=states)])
    assert [run.name for run in runs] == ["0", "1", "2", "3", "4", "5"]
    assert [(run.state, run.reason) for run in runs[:4]] == list(states.values())[:4]
    assert (runs[4].state, runs[4].reason, runs[4].settings["loss"], runs[4].seed) == (
        "missing",
        "it has not begun",
        "vlb",
        1,
    )
    assert [run.done for run in runs] == [False] * 5 + [True]
    assert not any(run.figures for run in runs[:5])
    assert runs[0].curves["train/loss"][0][-1] == 750  # as far as it came
    assert runs[1].settings["loss"] == "simple"  # it has no config.yaml
    assert problems == ()


@pytest.mark.parametrize(
    ("host", "held", "state", "reason"),
    [
        (socket.gethostname(), True, "running", ""),
        (socket.gethostname(), False, "failed", "its process is gone"),
        ("elsewhere", True, "running", ""),
        ("elsewhere", False, "running", "on elsewhere, where it may have ended"),
    ],
)
def test_a_run_that_says_that_it_runs(tmp_path, host, held, state, reason):
    path = make_run(tmp_path / "r", state="running", status={"host": host})
    lock = FileLock(path / ".hydra" / "lock")
    lock.acquire()
    if not held:
        lock.release()
    before = sorted(path.rglob("*"))
    run, _ = only(path)
    lock.release()
    assert (run.state, run.reason) == (state, reason)
    assert sorted(path.rglob("*")) == before  # nothing is written to find out


def test_stale_figures_of_a_run_that_goes_on_do_not_count(tmp_path):
    path = make_run(tmp_path / "r")
    write_json(path / "status.json", {"state": "running", "pid": 1, "host": "elsewhere"})
    run, _ = only(path)
    assert (run.state, run.figures, run.terms) == ("running", {}, ())


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """outputs/ with two sweeps of one name and a run, and links to one of them from within and from elsewhere."""
    top = tmp_path_factory.mktemp("here") / "outputs"
    for stamp in ("a", "b"):
        make_sweep(top / "sweeps" / "digits" / stamp, {}, seeds=(0, 1), picture=False)
    make_run(top / "runs" / "digits" / "c", picture=False)
    (top / "sweeps" / "digits" / "newest").symlink_to("b")
    (top / "away").symlink_to(make_sweep(tmp_path_factory.mktemp("there") / "d", {}, seeds=(0,), picture=False))
    (top / "notes.txt").write_text("of no use")
    return top


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["sweeps/digits/a"], ["0", "1"]),
        (["sweeps/digits/a/1"], ["1"]),
        (["runs/digits/c"], ["c"]),
        (["sweeps/digits/*"], ["a/0", "a/1", "b/0", "b/1"]),
        (["sweeps/digits/[ab]/1"], ["a/1", "b/1"]),
        (["sweeps/digits/b", "sweeps/digits/a/0"], ["b/0", "b/1", "a/0"]),
        (["sweeps/digits/b/0", "sweeps/digits/b", "sweeps/digits/newest"], ["0", "1"]),
        (["sweeps"], ["a/0", "a/1", "b/0", "b/1"]),
        (["runs", "sweeps/digits/a"], ["runs/digits/c", "sweeps/digits/a/0", "sweeps/digits/a/1"]),
        (["../outputs/**"], ["runs/digits/c", *(f"sweeps/digits/{s}/{i}" for s in "ab" for i in (0, 1)), "away/0"]),
        (["away"], ["0"]),  # whoever names a link means what is behind it
    ],
)
def test_sources(outputs, monkeypatch, sources, names):
    monkeypatch.chdir(outputs)
    runs, _ = read(sources)
    assert [run.name for run in runs] == names
    assert all(run.done for run in runs)


def test_a_link_out_of_a_folder_is_named_and_not_followed(outputs):
    runs, problems = read([outputs])
    assert len(runs) == 5
    assert len(problems) == 1
    assert "away leads elsewhere" in problems[0]


@pytest.mark.parametrize("source", ["nothing/there", "outputs/*", "empty", "file", "x" * 5000, "loop", "a\nb"])
def test_a_source_that_names_nothing_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "in" / "it").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    make_run(tmp_path / "run", picture=False)
    with pytest.raises(ConfigError, match=r"^runs: ") as refusal:
        read(["run", source])
    assert source.replace("\n", " ") in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "allowed are" in str(refusal.value)
    with pytest.raises(ConfigError, match=r"runs: \[\]"):
        read([])


def overwritten(name, content):
    def damage(folder):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def appended(name, text):
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text)


def cut(name):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2 + 1)


def removed(name):
    return lambda folder: (folder / name).unlink()


def huge(name):
    return lambda folder: os.truncate(folder / name, 10**8)  # takes no room on the disk


def as_folder(name):
    return lambda folder: (removed(name)(folder), (folder / name).mkdir())


def as_link(name, target):
    return lambda folder: (removed(name)(folder), (folder / name).symlink_to(target))


def as_pipe(name):
    return lambda folder: (removed(name)(folder), os.mkfifo(folder / name))


NEEDED = ("status.json", "config.yaml", "metrics.json")  # without these a run cannot be compared
FURTHER = ("metrics.csv", "bound_terms.csv", "evaluations.jsonl", "environment.json")
BROKEN = [
    *((f"{name} {how.__name__}", how(name), name) for name in NEEDED for how in (cut, huge)),
    *((f"{name} {how.__name__}", how(name), "is no file") for name in NEEDED for how in (as_folder, as_pipe)),
    *((f"{name} binary", overwritten(name, bytes(range(256)) * 9), name) for name in NEEDED),
    *((f"{name} empty", overwritten(name, ""), name) for name in NEEDED),
    *((f"{name} elsewhere", as_link(name, "/etc/passwd"), name) for name in NEEDED),
    *((f"{name} loop", as_link(name, name), name) for name in NEEDED),
    *((f"{name} list", overwritten(name, "[1, 2]\n"), name) for name in NEEDED),
    *((f"{name} removed", removed(name), name) for name in NEEDED[1:]),
    ("metrics nested", overwritten("metrics.json", '{"a": ' * 10**4), "metrics.json"),
    ("metrics deep", overwritten("metrics.json", '{"a": ' * 50 + "1" + "}" * 50), "metrics.json"),
    ("metrics of no number", overwritten("metrics.json", '{"a": "1", "b": NaN, "c": 1e999, "d": true}'), "no figure"),
    ("metrics endless number", overwritten("metrics.json", '{"a": 1' + "0" * 5000 + "}"), "no figure"),
    ("state unknown", overwritten("status.json", '{"state": "\x1b[31m"}'), "status.json"),
    ("state no text", overwritten("status.json", '{"state": ["done"]}'), "the state"),
    ("config tag", appended("config.yaml", "x: !!python/object/apply:os.mkdir [executed]\n"), "the tag"),
    ("config own tag", appended("config.yaml", "x: !Run {a: 1}\n"), "the tag"),
    ("config alias", appended("config.yaml", "a: &a [1]\nb: [*a, *a]\n"), "an alias"),
    ("config deep", appended("config.yaml", f"x: {'[' * 99}{']' * 99}\n"), "within each other"),
    ("config odd name", appended("config.yaml", "? [1, 2]\n: 3\n"), "whose name is no text"),
    ("config of something else", overwritten("config.yaml", "version: 2\n"), "no seed"),
]


@pytest.mark.parametrize(("damage", "word"), [pytest.param(*rest, id=name) for name, *rest in BROKEN])
def test_a_broken_run_is_unreadable_with_a_reason(tmp_path, monkeypatch, damage, word):
    monkeypatch.chdir(tmp_path)
    damage(make_run(tmp_path / "s" / "broken"))
    make_run(tmp_path / "s" / "whole")
    (broken, whole), problems = read([tmp_path / "s"])
    assert (broken.state, broken.done, whole.done) == ("unreadable", False, True)
    assert word in broken.reason
    assert "\n" not in broken.reason and len(broken.reason) < 400
    assert all(line.startswith("broken: ") for line in problems)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        *(pytest.param(how(name), name, id=f"{name} {how.__name__}") for name in FURTHER for how in (huge, as_folder)),
        *(pytest.param(as_link(name, "/etc/passwd"), name, id=f"{name} elsewhere") for name in FURTHER),
        *(pytest.param(overwritten(name, b"\xff\xfe\x00" * 99), name, id=f"{name} binary") for name in FURTHER),
        pytest.param(appended("metrics.csv", f"1600{',x' * 22}\n"), "22 values", id="words in a table"),
        pytest.param(appended("bound_terms.csv", "a,b,c,d\n"), "bound_terms.csv", id="words in terms"),
        pytest.param(appended("evaluations.jsonl", '{"time": "2026'), "evaluations.jsonl", id="half a line"),
        pytest.param(overwritten("samples/step_000500.png", "<svg onload=alert(1)>"), "picture", id="no picture"),
        pytest.param(as_link("samples/step_000500.png", "/etc/passwd"), "leads out", id="picture from elsewhere"),
        pytest.param(huge("samples/step_000500.png"), "bytes", id="huge picture"),
        pytest.param(removed("status.json"), "status.json", id="no status"),
    ],
)
def test_a_file_that_is_broken_is_told_and_the_run_counts(tmp_path, damage, word):
    damage(make_run(tmp_path / "r"))
    run, problems = only(tmp_path / "r")
    assert run.done
    assert len(run.settings) > 100
    assert any(word in line for line in problems), problems


def test_figures_that_are_none_are_left_out_and_told(tmp_path):
    path = make_run(tmp_path / "r")
    write_json(path / "metrics.json", {"test/bits_per_dim": 3.0, "a": float("nan"), "b": "1", "c": float("inf")})
    run, problems = only(path)
    assert run.figures == {"test/bits_per_dim": 3.0}
    assert len(problems) == 1
    assert "['a', 'b', 'c']" in problems[0]


def test_the_last_line_of_a_table_may_be_half_written(tmp_path):
    path = make_run(tmp_path / "r", curves={"train/loss": {50: 2.0, 100: 1.0}, "val/loss": {100: 3.0}})
    with (path / "metrics.csv").open("a") as file:
        file.write("100,0.5,nan\n150,0.")
    run, problems = only(path)
    assert run.curves == {"train/loss": ([50, 100], [2.0, 0.5]), "val/loss": ([100], [3.0])}
    assert problems == ()


def test_a_run_of_an_earlier_version(tmp_path):
    """No seconds, no terms, no record of Hydra, sections that there were not yet."""
    path = make_run(tmp_path / "r", settings={"sampler": "dpm_solver"}, typed=["sampler=dpm_solver", "ablation=mine"])
    write_json(path / "status.json", {"state": "done"})
    for name in ("bound_terms.csv", "evaluations.jsonl", ".hydra/hydra.yaml"):
        (path / name).unlink()
    text = (path / "config.yaml").read_text()
    start = text.index("decoder:\n")
    (path / "config.yaml").write_text(text[:start] + text[text.index("likelihood:\n") :])
    run, problems = only(path)
    assert (run.state, run.seconds, run.terms, run.evaluations, problems) == ("done", None, (), (), ())
    chosen = {group: run.settings[group] for group in ("model", "sampler", "schedule", "warp", "ablation")}
    assert chosen == {
        "model": "unet",
        "sampler": "dpm_solver",
        "schedule": "linear",
        "warp": "none",
        "ablation": "mine",
    }
    assert "decoder" not in run.settings


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"jobs": [', "cannot be read"),
        ("[]", "no names"),
        ('{"jobs": 3}', "jobs that are none"),
        ('{"jobs": [{"job": "../../etc"}, {"job": -1}, 7, {"job": true}]}', "jobs that are none"),
        (b"\xff\xfe", "no text"),
    ],
)
def test_jobs_of_a_sweep_whose_record_is_broken(tmp_path, content, word):
    sweep = make_sweep(tmp_path / "s", {}, seeds=(0, 1), picture=False)
    overwritten("sweep.json", content)(sweep)
    runs, problems = read([sweep])
    assert [(run.name, run.state) for run in runs] == [("0", "done"), ("1", "done")]
    assert len(problems) == 1 and word in problems[0]


def test_jobs_whose_folder_is_not_theirs(tmp_path):
    sweep = make_sweep(tmp_path / "s", {}, seeds=(0, 1, 2), picture=False)
    shutil.rmtree(sweep / "1")
    shutil.move(sweep / "2", tmp_path / "2")
    (sweep / "2").symlink_to(tmp_path / "2")
    (sweep / "007").mkdir()
    runs, problems = read([sweep])
    assert [(run.name, run.state, run.reason) for run in runs] == [
        ("0", "done", ""),
        ("1", "unreadable", "its folder is not there"),
        ("2", "unreadable", "its folder leads out of the sweep"),
    ]
    assert len(problems) == 1


def test_a_sweep_without_jobs_is_told(tmp_path):
    write_json(make_sweep(tmp_path / "s", {}, seeds=()) / "sweep.json", {"jobs": []})
    runs, problems = read([tmp_path])
    assert runs == ()
    assert "no jobs" in problems[0]


def test_folders_within_folders(tmp_path):
    deep = tmp_path
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    make_run(tmp_path / "r", picture=False)
    (tmp_path / "r" / "samples" / "up").symlink_to(tmp_path)
    (tmp_path / "up").symlink_to(tmp_path)
    assert [run.name for run in read([tmp_path])[0]] == ["r"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    sweep = make_sweep(tmp_path / "s", {}, seeds=(0, 1, 2), picture=False)
    (sweep / "0" / "metrics.json").chmod(0)
    (sweep / "1").chmod(0)
    runs, _ = read([sweep])
    (sweep / "1").chmod(0o700)
    assert [run.state for run in runs] == ["unreadable", "unreadable", "done"]


HOSTILE = ["<script>alert(1)</script>", "Zwölf Schritte 日本", "two\nlines", "a" * 20_000, "\x1b[31mred", "{{ 7 * 7 }}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_come_through_as_text(tmp_path, text):
    """Escaping is the page's; here they must neither break anything nor reach a terminal as what they are not."""
    path = make_run(tmp_path / "s" / text[:60].replace("/", "_"), typed=[f"name={text}"], state="failed", reason=text)
    (path / "config.yaml").write_text(f"seed: 0\nname: {json.dumps(text)}\n")
    make_run(tmp_path / "s" / "other")
    run = next(run for run in read([tmp_path / "s"])[0] if run.name != "other")
    shown = text.replace("\x1b", "\ufffd")
    assert (run.reason, run.settings["name"], run.typed) == (shown, shown, (f"name={shown}",))
    assert run.name == shown[:60].replace("/", "_").replace("\n", " ")


def test_halves_of_characters_can_be_written_down(tmp_path):
    path = make_run(tmp_path / "r", picture=False).rename(tmp_path / os.fsdecode(b"r\xff"))
    (path / "environment.json").write_text('{"overrides": ["name=\\ud800"], "\\udfff": 1}')
    (run,), problems = read([tmp_path])
    for text in (run.name, *run.typed, *run.environment, *problems):
        text.encode()
    assert run.done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One whole run for many tries."""
    return make_run(tmp_path_factory.mktemp("whole") / "r")


@settings(max_examples=300)
@given(data=st.data())
def test_no_file_however_broken_ends_the_report(whole, data):
    """Any of the files cut anywhere, or with a few bytes put in: the report says what it makes of it."""
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    path = whole / data.draw(st.sampled_from(files))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    rest = content[at:] if data.draw(st.booleans()) else b""
    path.write_bytes(content[:at] + data.draw(st.binary(max_size=6)) + rest)
    try:
        run, _ = only(whole)
    finally:
        path.write_bytes(content)
    assert run.state in ("done", "unreadable") and run.done == (run.state == "done")


@pytest.mark.slow
def test_two_hundred_runs(tmp_path):
    factors = {"schedule": ["linear", "cosine"], "loss": ["simple", "vlb"]}
    sweep = make_sweep(tmp_path / "s", factors, seeds=range(50))
    code = f"from difflab.report.reading import read; print(sum(r.done for r in read([{str(sweep)!r}])[0]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert result.stdout == "200\n"
