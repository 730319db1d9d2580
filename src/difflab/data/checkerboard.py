"""The checkerboard: uniform on every other square, with edges that a smooth density has to find."""

import torch
from torch import Tensor

from difflab.data.point_data import PointData


class Checkerboard(PointData):
    """Uniform on those 8 of the 16 unit squares between -2 and 2 whose column and row add up to an even number.

    As in FFJORD (Grathwohl et al., 2019, Figure 2). A coordinate is uniform, with standard deviation 1.15.
    """

    def exact(self, n: int, generator: torch.Generator) -> Tensor:
        column = torch.randint(4, (n,), generator=generator)
        row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
        corner = torch.stack([column, row], 1) - 2
        return (corner + torch.rand(n, 2, dtype=torch.float64, generator=generator)).float()
