"""Parts of a data set by the content of its examples: equal ones are never on two sides, whatever they are called."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from difflab.data.pixels import DIGEST, content_hash


class Sides(NamedTuple):
    """Numbers of examples, in the order of their hashes, int64."""

    train: np.ndarray
    test: np.ndarray


def by_content(hashes: np.ndarray, share: float) -> Sides:
    """The share with the smallest hashes as the test part; where that would divide equal examples, some more.

    A function of the content alone: neither names, order, nor a seed have a say, and most examples stay on their side
    when others are added.

    Args:
        hashes: of the content of each example, uint8 [N, bytes].
        share: between 0 and 1; at least one example.
    """
    order = in_order(hashes)
    ordered, cut = hashes[order], max(1, round(share * len(order)))
    while cut < len(order) and np.array_equal(ordered[cut], ordered[cut - 1]):
        cut += 1
    return Sides(order[cut:], order[:cut])


def in_order(hashes: np.ndarray) -> np.ndarray:
    """The numbers of examples in the order of their hashes; of equal ones the first comes first."""
    return np.lexsort(hashes.T[::-1])


def strangers(train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Which of the training examples equal none that is held out: their numbers, in order.

    Args:
        train, held_out: hashes, uint8 [N, bytes].
    """
    known = {row.tobytes() for row in held_out}
    return np.array([i for i, row in enumerate(train) if row.tobytes() not in known], dtype=np.int64)


def hashes_of(examples: Tensor) -> np.ndarray:
    """The hash of the content of each example in memory, uint8 [N, DIGEST]."""
    rows = examples.flatten(1).contiguous().numpy()
    return np.frombuffer(b"".join(content_hash(row) for row in rows), dtype=np.uint8).reshape(-1, DIGEST)
