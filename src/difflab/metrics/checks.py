"""What every metric asks of its rows: features of images, or points."""

import torch
from torch import Tensor

from difflab.errors import ConfigError


def check(rows: Tensor, what: str) -> None:
    """Refuse an empty set, and numbers that are not finite.

    Raises:
        ConfigError: with the number of the first row at fault, counted from 0.
    """
    if len(rows) == 0:
        raise ConfigError(f"metrics.samples: 0 rows among the {what}; allowed is 1 or more")
    bad = (~torch.isfinite(rows)).flatten(1).any(1).nonzero()
    if len(bad):
        raise ConfigError(
            f"metrics: {len(bad)} of the {len(rows)} rows of the {what} have numbers that are not finite, "
            f"the first is row {int(bad[0])}; allowed are finite numbers"
        )
