"""Peak memory of training the CIFAR-10 network, with activation checkpointing and without, against diffusers."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import difflab
from difflab.runs.benchmarks.networks import PARAMETERS, diffusers
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved, medians
from difflab.runs.benchmarks.trainee import SIDES

MOST, CHECKPOINTED, TIME = 1.0, 0.5, 1.35
ROUNDS = 3  # counted steps, at most: from the second on, memory hardly grows
FIXED = 5 * 4 * PARAMETERS / 1e9  # weights, their gradients, two moments and an average: no checkpointing saves these


class Trainee:
    """A process that trains one side, a step whenever it is told to.

    Args:
        side: of `trainee.SIDES`.
        batch_size: images of a step.
    """

    def __init__(self, side: str, batch_size: int) -> None:
        source = str(Path(difflab.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "difflab.runs.benchmarks.trainee", side, str(batch_size)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, **pipes)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.told, self.heard = self.process.stdin, self.process.stdout

    def __enter__(self) -> "Trainee":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.told.close()
        self.heard.close()

    def step(self) -> None:
        """One step.

        Raises:
            RuntimeError: where the process has ended.
        """
        self.told.write("\n")
        self.told.flush()
        if not self.heard.readline():
            raise RuntimeError(f"{self.process.args} has ended with {self.process.wait()}")

    def end(self) -> dict[str, float]:
        """Gigabytes: its peak, and what it had before there was a network."""
        self.told.close()
        return json.loads(self.heard.readline())


def memory(settings: dict[str, Any]) -> list[Row]:
    """What training adds to the imported libraries at its peak, and its time, each side in a process of its own."""
    diffusers()
    size, rounds = settings["batch_size"], min(ROUNDS, settings["repetitions"])
    with ExitStack() as stack:
        trainees = {side: stack.enter_context(Trainee(side, size)) for side in SIDES}
        seconds = medians(interleaved({side: one.step for side, one in trainees.items()}, rounds, label="memory"))
        told = {side: one.end() for side, one in trainees.items()}
    added = {side: one["peak"] - one["imports"] for side, one in told.items()}
    mine, peer, less = added["ours"], added["peer"], added["checkpointed"]
    longer = seconds["checkpointed"] / seconds["ours"]
    how = (
        f"GB at the peak of {1 + rounds} training steps beyond what the imported libraries take; batch {size}, "
        "float32, channels last, same loop, fused AdamW and average; processes of their own"
    )
    whole = f"whole processes {told['ours']['peak']:.2f} and {told['peer']['peak']:.2f} GB"
    kept = f"{FIXED:.2f} GB are weights, gradients, moments and average"
    checkpointed = (
        f"{how}; with checkpointing {longer:.2f} times the time of our own without, steps in turn, medians; {kept}; "
        f"whole process {told['checkpointed']['peak']:.2f} GB"
    )
    met = less <= CHECKPOINTED * peer and longer <= TIME
    target = f"at most {CHECKPOINTED} at under {TIME} times the time"
    return [
        Row("memory", mine, peer, mine / peer, "", f"at most {MOST}", mine <= MOST * peer, f"{how}; {whole}"),
        Row("memory, checkpointing", less, peer, less / peer, f"{FIXED / peer:.2f}", target, met, checkpointed),
    ]
