"""Between the levels of the data, the real numbers of the model, and pictures."""

import torch
from torch import Tensor


class Scaling:
    """Levels 0 .. levels-1 as equally spaced numbers from -1 to 1: x = 2k/(levels - 1) - 1.

    Args:
        levels: how many values a pixel can take (256 for 8-bit images).

    Attributes:
        unit: what a level is in the numbers of the model.
    """

    def __init__(self, levels: int) -> None:
        self.levels, self.unit = levels, 2 / (levels - 1)

    def encode(self, k: Tensor) -> Tensor:
        """Levels (uint8) to float32 in [-1, 1]."""
        return k.float() * self.unit - 1

    def decode(self, x: Tensor) -> Tensor:
        """The nearest level of each number (uint8): clamp, scale, round.

        Raises:
            ValueError: where a number is not finite, by the index of the first such image.
        """
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bad.any():
            raise ValueError(f"image {int(bad.nonzero()[0])} is not finite")
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # 8 bits of mantissa do not tell 256 levels apart
        return ((x.clamp(-1, 1) + 1) * ((self.levels - 1) / 2)).round().to(torch.uint8)

    def picture(self, k: Tensor) -> Tensor:
        """Levels (uint8) as 8-bit pictures, 0 .. 255: what feature extractors and files take.

        Raises:
            ValueError: for other numbers than levels.
        """
        if k.dtype != torch.uint8 or (len(k) and int(k.max()) >= self.levels):
            raise ValueError(f"levels: up to {k.max()} of {k.dtype}; allowed are 0 to {self.levels - 1} of torch.uint8")
        return k if self.levels == 256 else (k.float() * (255 / (self.levels - 1))).round().to(torch.uint8)


class Plain:
    """Real numbers as they are, in float32."""

    unit = 1.0

    def encode(self, x: Tensor) -> Tensor:
        return x.float()

    def decode(self, x: Tensor) -> Tensor:
        """The same numbers.

        Raises:
            ValueError: where a number is not finite, by the index of the first such point.
        """
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bad.any():
            raise ValueError(f"point {int(bad.nonzero()[0])} is not finite")
        return x
