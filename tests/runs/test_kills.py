"""Runs that are killed again and again, anywhere, and end with the bits of a run that was left alone."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, SIGTERM, run_folder, train
from deaths import PLACES, deaths
from pairs import NODES, Pair, pair
from sameness import assert_same_run

pytestmark = pytest.mark.slow  # whole runs in processes of their own

EVERYTHING = (
    "schedule=learned",
    "schedule.width=8",
    "loss=vlb",
    "times=importance",
    "times.cells=4",
    "times.history=2",
    "ema=power",
    "ema.lengths=[0.05,0.1,0.2]",
    "ema.snapshot_every=2",
    "model.dropout=0.1",
    "trainer.accumulate_grad_batches=2",
)


METRICS = (
    "metrics=default",
    "metrics.samples=40",
    "metrics.draws=1",
    "metrics.every=5",
    "metrics.budget=1",
    "metrics.images=40",
    "sampler.steps=4",
    "features.steps=20",
)
OF_THE_FIRST = ("a row", "a snapshot", "saving", "before a link", "after a link")  # others write nothing


def cut_off(table: Path, random: np.random.Generator) -> None:
    """metrics.csv ends at any byte; nothing of it is needed."""
    os.truncate(table, random.integers(table.stat().st_size))


def test_killed_at_every_place_and_at_random_steps(tmp_path):
    """A dozen signals, most of them kill -9, each to what has been resumed after the one before."""
    random = np.random.default_rng(6)
    *places, last = PLACES
    struck = deaths(random, [*random.permutation(places).tolist(), last])
    assert len(struck) > 10
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    options = (*EVERYTHING, *METRICS, f"trainer.max_steps={struck[-1].step}")
    code, text = train(*options, folder=whole)
    assert code == 0, text
    arguments = options
    for i, death in enumerate(struck):
        code, text = train(*arguments, folder=cut, prepare=death.prepare)
        assert code == (143 if death.signum == SIGTERM else -SIGKILL), (death, text)
        run = run_folder(cut)
        arguments = (f"resume={run}",)
        if i % 2:
            cut_off(run / "metrics.csv", random)
    code, text = train(*arguments, folder=cut)
    assert code == 0, text
    assert_same_run(run_folder(whole), run)


def test_either_of_two_processes_is_killed_anywhere(tmp_path):
    """Now the first, now the second: the job ends, and what is resumed is the job that was left alone, bit for bit."""
    random = np.random.default_rng(7)
    both = [place for place in PLACES if place not in OF_THE_FIRST and place != "evaluation"]
    places = [random.choice(OF_THE_FIRST), *random.permutation(both)[:3]]
    struck = deaths(random, [str(place) for place in places])
    last = (*EVERYTHING, "metrics=none", f"trainer.max_steps={struck[-1].step + 2}")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    ended = pair(*last, folder=whole)
    assert [code for code, _ in ended] == [0, 0], ended
    arguments = (*NODES, *last, f"hydra.run.dir={cut / 'run'}")
    for i, death in enumerate(struck):
        then = (death.prepare, None) if i % 2 == 0 else (None, death.prepare)
        ended = Pair(*arguments, folder=cut, then=then).end(60)
        codes = [143, 143] if death.signum == SIGTERM else [-SIGKILL, 1][:: 1 if i % 2 == 0 else -1]
        assert [code for code, _ in ended] == codes, (death, ended)
        arguments = (f"resume={cut / 'run'}",)
        cut_off(cut / "run" / "metrics.csv", random)
    ended = Pair(*arguments, folder=cut).end()
    assert [code for code, _ in ended] == [0, 0], ended
    assert_same_run(whole / "run", cut / "run")
