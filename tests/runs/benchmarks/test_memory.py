"""The rows of memory, on one image; what they find is not asserted."""

import subprocess
import sys
from inspect import getclosurevars

import pytest
import torch

from difflab.runs.benchmarks.memory import FIXED, Trainee, memory
from difflab.runs.benchmarks.trainee import peak_gb, training

MEGABYTES = 200


def test_a_peak_is_a_process_s_own():
    """A child of a process that has much is small, and what a process has had once it has had."""
    much = bytearray(MEGABYTES * 10**6)
    much[::4096] = b"x" * len(much[::4096])
    here = peak_gb()
    assert here > MEGABYTES / 1e3
    del much
    assert peak_gb() > 0.99 * here  # the kernel counts pages by the handful
    code = "from difflab.runs.benchmarks.trainee import peak_gb; print(peak_gb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(child.stdout) < MEGABYTES / 1e3


@pytest.mark.slow  # a process that imports everything
def test_a_process_that_fails_is_told_of():
    with Trainee("nobody", 0) as trainee, pytest.raises(RuntimeError, match=r"trainee.* has ended with 1"):
        trainee.step()


@pytest.mark.slow  # two networks of 36 million weights
def test_checkpointing_changes_no_weight():
    after = {}
    for side in ("ours", "checkpointed"):
        step = training(side, 1)
        weights = list(getclosurevars(step).nonlocals["network"].parameters())
        torch.manual_seed(0)
        step()
        after[side] = weights
    for ours, again in zip(*after.values(), strict=True):
        assert torch.equal(ours, again)


@pytest.mark.slow  # three processes
def test_rows_say_what_was_measured():
    pytest.importorskip("diffusers")
    plain, checkpointed = memory({"batch_size": 1, "repetitions": 1})
    assert (plain.name, checkpointed.name) == ("memory", "memory, checkpointing")
    for row in (plain, checkpointed):
        assert row.ratio == row.ours / row.peer
        assert row.ours > FIXED  # in 10^9 bytes
    assert plain.peer == checkpointed.peer and plain.met == (plain.ratio <= 1)
