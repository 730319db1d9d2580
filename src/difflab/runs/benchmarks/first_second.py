"""How long a user waits: for the help, for the composed config, for the first optimizer step of the default run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved, medians
from difflab.runs.paths import CONFIGS

REPOSITORY = CONFIGS.parent
ANSWER, MORE = 1.5, 2.0  # seconds
REACHED = 7  # the exit code of what has come so far as it was to come

# What any program on these libraries pays: ends when both are imported.
BARE = f"import os, lightning, torch; os._exit({REACHED})"
# train.py as it is, ended by a hook of torch's own after the first step of any optimizer.
STEP = f"""
import os, runpy, sys
from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(lambda *_: os._exit({REACHED}))
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def first_second(settings: dict[str, Any]) -> list[Row]:
    """`--help`, `--cfg job`, and the first step beyond a process that only imports torch and lightning."""
    repetitions = settings["repetitions"]
    with tempfile.TemporaryDirectory() as folder:
        alone = ["metrics=none", f"outputs={folder}"]  # a classifier for metrics is trained once, and has steps too
        sides = {
            "--help": lambda: ended(["train.py", "--help"], 0),
            "--cfg job": lambda: ended(["train.py", "--cfg", "job"], 0),
            "imports": lambda: ended(["-c", BARE], REACHED),
            "first step": lambda: ended(["-c", STEP, *alone], REACHED),
        }
        seconds = medians(interleaved(sides, repetitions, label="first second"))
    return rows(seconds, f"seconds of a process, bytecode cached; all in turn, median of {repetitions}, one warm-up")


def rows(seconds: Mapping[str, float], how: str) -> list[Row]:
    """What the seconds of each side say."""
    answers = [
        Row(
            f"first second, {flags}",
            seconds[flags],
            None,
            None,
            "interpreter and hydra",
            f"below {ANSWER} s",
            seconds[flags] < ANSWER,
            f"python train.py {flags}: {how}",
        )
        for flags in ("--help", "--cfg job")
    ]
    ours, peer = seconds["first step"], seconds["imports"]
    more = f"{ours - peer:.2f} s more than the imports"
    step = Row(
        "first second, first step",
        ours,
        peer,
        ours / peer,
        "importing torch and lightning",
        f"below {MORE} s more",
        ours - peer < MORE,
        f"the default run, metrics=none, to the end of its first optimizer step, {more}: {how}",
    )
    return [*answers, step]


def ended(arguments: list[str], code: int) -> None:
    """A process of this interpreter in the repository, as users start it: what is compiled once stays compiled.

    Raises:
        RuntimeError: where it ends with another code.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    if done.returncode != code:
        raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr}")
