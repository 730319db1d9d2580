"""What a row of the table says."""

from typing import NamedTuple


class Row(NamedTuple):
    """One measurement: what ours costs and the peer, their ratio, and whether the target on it is met."""

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    limit: str
    target: str
    met: bool
    how: str
