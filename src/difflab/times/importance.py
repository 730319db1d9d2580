"""Training times drawn as often as their losses have been large."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.schedules import Schedule
from difflab.times.piecewise import cell, check_share, density, draw
from difflab.times.times import Drawn
from difflab.times.times import cells as number_of_cells


class Importance(nn.Module):
    """p(t) proportional to sqrt(E[loss^2 | t]), from the last losses of each cell; losses are divided by p.

    Of all fixed densities this has the least variance (Nichol & Dhariwal, 2021, section 3.3 and Eq. 18). Times are
    uniform until every cell has its history. What was observed is part of the checkpoint.

    Args:
        schedule: a cell for each step of its chain or level of its ladder.
        cells: of equal width, in continuous time.
        history: how many losses a cell remembers.
        uniform_share: of the density; no loss is multiplied by more than 1/uniform_share.

    Attributes:
        losses: [cells, history], float64; loss number n of a cell is at n modulo history.
        seen: how many losses each cell has had, [cells].

    Raises:
        ValueError: for less than one cell or one loss to remember, and a share outside (0, 1).
    """

    unbiased = True
    losses: Tensor
    seen: Tensor

    def __init__(self, schedule: Schedule, cells: int, history: int, uniform_share: float) -> None:
        super().__init__()
        for field, value in (("cells", cells), ("history", history)):
            if value < 1:
                raise ValueError(f"times.{field}: {value}; allowed are whole numbers from 1")
        check_share(uniform_share)
        self.uniform_share = uniform_share
        count = number_of_cells(schedule, cells)
        self.register_buffer("losses", torch.zeros(count, history, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(count, dtype=torch.int64))

    def forward(self, uniform: Float[Tensor, " batch"], schedule: Schedule) -> Drawn:
        return draw(uniform.to(self.losses.device), self.density(), schedule)

    def density(self) -> Float[Tensor, " cells"]:
        """The chance of each cell."""
        p = density(self.losses.square().mean(1).sqrt(), self.uniform_share)
        warm = (self.seen >= self.losses.shape[1]).all()
        return torch.where(warm, p, 1 / len(p))

    @torch.no_grad()
    def observe(self, t: Float[Tensor, " batch"], loss: Float[Tensor, " batch"], schedule: Schedule) -> None:
        """Remember the losses, not multiplied by weights, of the whole global batch in its order.

        Losses that are not finite are left out.
        """
        cells, history = self.losses.shape
        loss = loss.to(self.losses)
        finite = loss.isfinite()
        index, order = cell(t.to(loss.device)[finite], cells, schedule).sort(stable=True)
        loss = loss[finite][order]
        count = index.bincount(minlength=cells)
        nth = torch.arange(len(index), device=index.device) - torch.searchsorted(index, index)  # of its cell, from 0
        newest = nth >= count[index] - history  # a place is written once: the order of writes is nobody's promise
        slot = (self.seen[index] + nth) % history
        self.losses[index[newest], slot[newest]] = loss[newest]
        self.seen += count

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Importance":
        """Moves between devices, but stays in float64 when the module is cast."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)
