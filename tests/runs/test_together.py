"""Several processes as one: what comes back, and that none stays behind, whatever happens."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from difflab.errors import ConfigError
from difflab.runs.together import together

sys.path.insert(0, str(Path(__file__).parent))
import members

slow = pytest.mark.slow  # each starts interpreters that import torch


@pytest.fixture(autouse=True)
def nobody_stays_behind():
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


def test_one_process_is_this_one():
    assert together(1, os.getpid) == os.getpid()


@slow
def test_several_are_others_and_the_first_answers():
    rank, size, pid = together(2, members.process)
    assert (rank, size) == (0, 2) and pid != os.getpid() and not psutil.pid_exists(pid)


@slow
def test_a_failure_of_one_ends_all_and_is_told():
    begun = time.monotonic()
    with pytest.raises(ProcessRaisedException, match="the second could not"):
        together(2, members.second_fails)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        together(2, members.second_is_killed)
    assert time.monotonic() - begun < 300  # not the 600 seconds of the first


@slow
@pytest.mark.parametrize("refuse", [members.second_refuses, members.all_refuse])
def test_a_refusal_is_a_refusal(refuse):
    with pytest.raises(ConfigError, match=r"^n: 0; allowed are whole numbers from 1$"):
        together(2, refuse)
