"""How work is shared between processes: each takes every n-th piece, and all get the whole."""

from typing import Any

import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) where there is only one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(share: dict[int, Any]) -> dict[int, Any]:
    """The union of every process's pieces, by number, in order."""
    size = rank_and_size()[1]
    if size == 1:
        return share
    shares: list[dict[int, Any]] = [{} for _ in range(size)]
    dist.all_gather_object(shares, share)
    return dict(sorted((number, piece) for one in shares for number, piece in one.items()))


def complete(rows: Tensor, first: int) -> None:
    """Give every process all rows, bit for bit: row i is that of process (first + i) % size.

    Args:
        rows: [n, ...] on the CPU; changed where they belong to others.
        first: number of the first row.
    """
    size = rank_and_size()[1]
    if size == 1:
        return
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    for i, row in enumerate(rows):
        there = row.to(device)
        dist.broadcast(there, (first + i) % size)
        row.copy_(there)
