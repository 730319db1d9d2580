"""The pinwheel: five bent arms."""

import math

import torch
from torch import Tensor

from difflab.data.point_data import PointData

ARMS, ALONG, ACROSS, BEND = 5, 0.3, 0.1, 0.25


class Pinwheel(PointData):
    """A point N((1, 0), diag(0.3^2, 0.1^2)) turned by a fifth of a circle, at random which, and by exp(x) / 4.

    The data of Johnson et al. (2016, Figure 1). The points are scaled by sqrt(2), which gives a coordinate the
    standard deviation 1.05.
    """

    def exact(self, n: int, generator: torch.Generator) -> Tensor:
        x, y = torch.randn(2, n, dtype=torch.float64, generator=generator)
        x, y = 1 + ALONG * x, ACROSS * y
        angle = 2 * math.pi / ARMS * torch.randint(ARMS, (n,), generator=generator) + BEND * x.exp()
        turned = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], 1)
        return (math.sqrt(2) * turned).float()
