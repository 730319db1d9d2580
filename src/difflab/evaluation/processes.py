"""How work is shared between processes: each takes every n-th piece, and all get the whole."""

from typing import Any

import torch.distributed as dist


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
