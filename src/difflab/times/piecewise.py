"""Densities over training times that are constant on each of a number of equal cells."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.schedules import Schedule
from difflab.times.times import Drawn, place


def check_share(uniform_share: float) -> None:
    """Whether this much of a density may be uniform.

    Raises:
        ValueError: unless it lies between 0 and 1.
    """
    if not 0 < uniform_share < 1:
        raise ValueError(f"times.uniform_share: {uniform_share}; allowed are numbers between 0 and 1")


def density(height: Float[Tensor, " cells"], uniform_share: float) -> Float[Tensor, " cells"]:
    """The chance of each cell: a share is uniform, the rest is proportional to `height`.

    The share bounds the weights 1/(cells p) by 1/uniform_share, and costs at most 1/(1 - uniform_share) times the
    second moment that the rest alone would have.
    """
    height = height.clamp(min=1e-30)  # uniform where nothing is known but zeros
    return (1 - uniform_share) * height / height.sum() + uniform_share / len(height)


def middles(cells: int, schedule: Schedule) -> Float[Tensor, " cells"]:
    """The time in the middle of each cell: the steps of a chain, the levels of a ladder."""
    return place((torch.arange(cells, dtype=torch.float64) + 0.5) / cells, schedule)


def cell(t: Float[Tensor, "*batch"], cells: int, schedule: Schedule) -> Int[Tensor, "*batch"]:
    """Which cell each time lies in, from 0."""
    if schedule.T is not None:
        index = (t * schedule.T).round() - 1
    elif schedule.L is not None:
        index = (t * (schedule.L - 1)).round()
    else:
        index = (t - schedule.t_min) / (1 - schedule.t_min) * cells
    return index.long().clamp(0, cells - 1)


def draw(uniform: Float[Tensor, " batch"], p: Float[Tensor, " cells"], schedule: Schedule) -> Drawn:
    """Times by the inverse of the cumulative density, and the weights 1/(cells p) that keep the objective.

    The map is monotone, so numbers that cover [0, 1) evenly give times that cover the density evenly.
    """
    cells, edges = len(p), p.cumsum(0)
    index = torch.searchsorted(edges, uniform, right=True).clamp(max=cells - 1)
    if schedule.T is not None or schedule.L is not None:
        inside = torch.full_like(uniform, 0.5)  # the cell is one time: its middle, away from rounding
    else:
        inside = (1 - (edges[index] - uniform) / p[index]).clamp(0, 1)
    return Drawn(place((index + inside) / cells, schedule), 1 / (cells * p[index]))
