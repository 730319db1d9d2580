"""What is done in the processes of tests: by several that belong together, and to a script from within."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch.distributed as dist

from difflab.errors import ConfigError


def process() -> tuple[int, int, int]:
    """Rank, number of processes, and the sum of 1 over them."""
    total = [None] * dist.get_world_size()
    dist.all_gather_object(total, os.getpid())
    return dist.get_rank(), len(set(total)), os.getpid()


def one_by_one(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """What a function returns for each of these arguments."""
    return [function(*arguments) for arguments in calls]


def telling() -> None:
    """Progress is told, as it is to users."""
    del os.environ["DIFFLAB_QUIET"]


def second_fails() -> None:
    if dist.get_rank() == 1:
        raise ValueError("the second could not")
    time.sleep(600)  # a long batch: nothing that would notice


def second_is_killed() -> None:
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def killed_later() -> None:
    """What was on its way to other processes has arrived there."""
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


def second_refuses() -> None:
    if dist.get_rank() == 1:
        raise ConfigError("n: 0; allowed are whole numbers from 1")
    dist.barrier()


def all_refuse() -> None:
    raise ConfigError("n: 0; allowed are whole numbers from 1")


def scored_into(path: Path) -> None:
    """Every computation of bits per dimension is a line in a file."""
    from difflab.evaluation import Protocol

    score = Protocol.score

    def told(self, *arguments):
        with path.open("a") as file:
            file.write("scored\n")
        return score(self, *arguments)

    Protocol.score = told


def interrupted_at(point: int) -> None:
    """Ctrl-C during the evaluation of that point, counted from 1."""
    from difflab.evaluation import Protocol

    sample, begun = Protocol.sample, []

    def struck(self, *arguments):
        begun.append(1)
        if len(begun) == point:
            os.kill(os.getpid(), signal.SIGINT)
        return sample(self, *arguments)

    Protocol.sample = struck
