"""Curves in the plane with noise about them: the swiss roll and the two moons."""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from difflab.data.point_data import PointData
from difflab.errors import ConfigError


class NoisyCurve(PointData):
    """A point of a curve, uniform in its angle, and normal noise.

    Args:
        noise: standard deviation of the noise on each coordinate.

    Raises:
        ConfigError: for noise below 0.
    """

    def __init__(
        self, batch_size: int, size: int, val_size: int, test_size: int, seed: int, draw: int, noise: float
    ) -> None:
        super().__init__(batch_size, size, val_size, test_size, seed, draw)
        if not 0 <= noise < math.inf:
            raise ConfigError(f"data.noise: {noise}; allowed are numbers from 0")
        self.noise = noise

    @abstractmethod
    def curve(self, n: int, generator: torch.Generator) -> Tensor:
        """n points of the curve, float64 [n, 2]."""

    def exact(self, n: int, generator: torch.Generator) -> Tensor:
        on_curve = self.curve(n, generator)
        return (on_curve + self.noise * torch.randn(n, 2, dtype=torch.float64, generator=generator)).float()


class SwissRoll(NoisyCurve):
    """(r cos a, r sin a) with r = a / 7 and the angle a from 1.5 pi to 4.5 pi.

    The roll of Tenenbaum et al. (2000) seen along its axis, as Sohl-Dickstein et al. (2015, Figure 1) modelled it. A
    coordinate has standard deviation 1.0; neighbouring turns are 0.9 apart.
    """

    def curve(self, n: int, generator: torch.Generator) -> Tensor:
        angle = math.pi * (1.5 + 3 * torch.rand(n, 1, dtype=torch.float64, generator=generator))
        return angle / 7 * torch.cat([angle.cos(), angle.sin()], 1)


class TwoMoons(NoisyCurve):
    """Two half circles of radius sqrt(2), each reaching into the other, with half of the points on either.

    The pattern of Zhou et al. (2004, Figure 1), symmetric about the origin: the upper moon is centred at
    (-1, -1/2) / sqrt(2), the lower one opposite. Coordinates have standard deviations 1.2 and 0.7, together 1.0.
    """

    def curve(self, n: int, generator: torch.Generator) -> Tensor:
        angle = math.pi * torch.rand(n, 1, dtype=torch.float64, generator=generator)
        side = 1.0 - 2 * torch.randint(2, (n, 1), generator=generator)
        return math.sqrt(2) * side * torch.cat([angle.cos() - 0.5, angle.sin() - 0.25], 1)
