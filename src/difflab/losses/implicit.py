"""Implicit score matching, with the exact trace."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.likelihood.ode import basis
from difflab.losses.by_parts import ByParts, half_square


class Implicit(ByParts):
    """sigma^power (tr ds/dx + |s|^2 / 2), the trace by a backward pass for each dimension (Hyvarinen, 2005, Eq. 4).

    Args:
        power, noise: as in `ByParts`.
        most: dimensions that it is computed in; time and memory are proportional to their number.
        dimensions: of the data, where they are known beforehand.

    Raises:
        ValueError: for data of more dimensions, here or when called.
    """

    def __init__(self, power: float, noise: float | None, most: int, dimensions: int | None = None) -> None:
        super().__init__(power, noise)
        self.most = most
        if dimensions is not None:
            self.check(dimensions)

    def check(self, dimensions: int) -> None:
        """Refuse too many dimensions."""
        if dimensions > self.most:
            raise ValueError(
                f"loss.most: {self.most}; implicit takes a backward pass for each dimension, and this data has "
                f"{dimensions}; allowed are sliced, sliced_vr, score, or loss.most from {dimensions}"
            )

    def of(
        self, score: Float[Tensor, "batch *shape"], along: Callable[[Tensor], Tensor], normal: Callable[[], Tensor]
    ) -> Float[Tensor, " batch"]:
        self.check(score[0].numel())
        trace = torch.stack([along(v) for v in basis(score.detach().contiguous())]).sum(0)
        return trace + half_square(score)
