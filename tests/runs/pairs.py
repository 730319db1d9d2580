"""Two processes of one job that nobody but the test starts, as on two machines; they import nothing that costs."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from children import SMALL, read, start

NODES = ("trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2")


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def by_hand(rank: int, port: str) -> dict[str, str]:
    """What a user sets on each machine."""
    return {"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def by_srun(rank: int, port: str, tasks: int = 2, nodes: int = 1) -> dict[str, str]:
    """What srun sets for each task."""
    each = tasks // nodes
    return {
        "MASTER_PORT": port,
        "SLURM_JOB_ID": "4321",
        "SLURM_JOB_NAME": "train",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": str(tasks),
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(each),
        "SLURM_NNODES": str(nodes),
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank % each),
        "SLURM_NODEID": str(rank // each),
    }


def prepared(environment: Mapping[str, str], then: Callable[[], None] | None) -> None:
    """In the child, before the command runs."""
    os.environ.update(environment)
    if then is not None:
        then()


class Pair:
    """`python train.py` twice, at once, with the small settings.

    Args:
        arguments: of both.
        folder: of both; each writes its output into a folder 0 or 1 there.
        place: environment of each, by its rank and the port on which they meet.
        kill: of each: see children.kill_at.
        then: of each, in the process.
        more: arguments of each.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        place: Callable[[int, str], dict[str, str]] = by_hand,
        kill: tuple[Any, Any] = (None, None),
        then: tuple[Any, Any] = (None, None),
        more: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    ) -> None:
        port = free_port()
        base = () if any(a.startswith("resume=") and "auto" not in a for a in arguments) else SMALL
        self.folders = [folder / "0", folder / "1"]
        self.children = []
        for rank, own in enumerate(self.folders):
            own.mkdir(exist_ok=True)
            prepare = partial(prepared, place(rank, port), then[rank])
            self.children.append(start("train", [*base, *arguments, *more[rank]], own, kill[rank], prepare))

    def wait(self, rank: int) -> int | None:
        """The exit code of one of them; both are killed where it does not end."""
        self.children[rank].join(120)
        if self.children[rank].is_alive():
            self.end(0)
        return self.children[rank].exitcode

    def end(self, seconds: float = 120) -> list[tuple[int | None, str]]:
        """Exit code and output of each; none of them is there afterwards."""
        try:
            for child in self.children:
                child.join(seconds)
            late = [child.pid for child in self.children if child.is_alive()]
            assert not late, f"process {late} has not ended within {seconds} seconds: {self.texts()}"
        finally:
            for child in self.children:
                child.kill()
        return list(zip([child.exitcode for child in self.children], self.texts(), strict=True))

    def texts(self) -> list[str]:
        """What each has written so far."""
        return [read(own / "output.txt") + read(own / "errors.txt") for own in self.folders]


def pair(*arguments: str, folder: Path, **options: Any) -> list[tuple[int | None, str]]:
    """Two nodes that share folder/run, to their end."""
    return Pair(*NODES, *arguments, f"hydra.run.dir={folder / 'run'}", folder=folder, **options).end()
