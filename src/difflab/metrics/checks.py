"""What every metric asks of its features."""

import torch
from torch import Tensor

from difflab.errors import ConfigError


def check(features: Tensor, what: str) -> None:
    """Refuse an empty set, and features that are not finite.

    Raises:
        ConfigError: with the number of the first image at fault, counted from 0.
    """
    if len(features) == 0:
        raise ConfigError(f"metrics.samples: 0 images among the {what}; allowed is 1 or more")
    bad = (~torch.isfinite(features)).flatten(1).any(1).nonzero()
    if len(bad):
        raise ConfigError(
            f"features: {len(bad)} of the {len(features)} images of the {what} have features that are not finite, "
            f"the first is image {int(bad[0])}; allowed are finite numbers"
        )
