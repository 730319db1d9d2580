"""One function on several processes of this machine, which share its work."""

import os
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from rich.console import Console
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, start_processes

from difflab.errors import ConfigError

T = TypeVar("T")
LONG = timedelta(days=7)  # for others to extract features; one that has ended ends all
PATIENCE = 5.0  # seconds in which processes that fail alike have all failed


def together(size: int, function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns on the first of `size` processes, which end with it, whatever happens.

    They talk over nccl, a GPU each, where there are GPUs, and over gloo elsewhere. One process is this one. With more,
    function, arguments and result are pickled; each has as many threads as this one, because another number changes
    sums by rounding.

    Raises:
        ConfigError: for more processes than GPUs, and what the function refuses.
        ProcessRaisedException, ProcessExitedException: where a process failed; the others are ended.
    """
    if size == 1:
        return function(*arguments)
    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and size > gpus:
        raise ConfigError(f"devices: {size}; allowed are 1 to {gpus}, the number of GPUs here")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        context = start_processes(
            member,
            (size, torch.get_num_threads(), place, function, arguments),
            size,
            join=False,
            daemon=True,
            start_method="spawn",
        )
        assert context is not None
        try:
            while not context.join(grace_period=PATIENCE):
                pass
        except (ProcessRaisedException, ProcessExitedException) as error:
            if (place / "refusal").is_file():
                raise ConfigError((place / "refusal").read_text()) from error
            raise
        finally:
            for process in context.processes:
                process.kill()
                process.join()
            Console(stderr=True).show_cursor()  # a progress bar that was killed has hidden it
        return pickle.loads((place / "result").read_bytes())


def member(
    rank: int, size: int, threads: int, place: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """One of the processes: number `rank`, which meets the others in the folder `place`."""
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(threads)
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if gpus else "gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=size, timeout=LONG
    )
    try:
        result = function(*arguments)
    except ConfigError as error:
        new = place / f"refusal.{rank}"
        new.write_text(str(error))
        new.replace(place / "refusal")
        raise
    if rank == 0:
        (place / "result").write_bytes(pickle.dumps(result))
    dist.destroy_process_group()
