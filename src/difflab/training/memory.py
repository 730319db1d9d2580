"""How much memory a training takes."""

import psutil
import torch

GIGABYTE = 1e9


def memory_gb(device: torch.device) -> float:
    """Gigabytes (10^9 bytes): on a GPU the most that tensors took so far, else what the whole process has in memory
    now, with its libraries, and in a sweep with whatever earlier jobs left there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIGABYTE
    return psutil.Process().memory_info().rss / GIGABYTE
