"""Sliced score matching: the trace along random directions."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.losses.by_parts import ByParts
from difflab.losses.projections import Projection


class Sliced(ByParts):
    """sigma^power (v^T (ds/dx) v + (v^T s)^2 / 2) with random v, E[v v^T] = I (Song et al., 2019, Eq. 8).

    Its mean over v is that of implicit score matching, at one backward pass for each v.

    Args:
        power, noise: as in `ByParts`.
        probes: how many v for each example; the loss is the mean.
        projection: the law of v.

    Raises:
        ValueError: for fewer than one v.
    """

    def __init__(self, power: float, noise: float | None, probes: int, projection: Projection) -> None:
        super().__init__(power, noise)
        if probes < 1:
            raise ValueError(f"loss.probes: {probes}; allowed are whole numbers from 1")
        self.probes, self.projection = probes, projection

    def of(
        self, score: Float[Tensor, "batch *shape"], along: Callable[[Tensor], Tensor], normal: Callable[[], Tensor]
    ) -> Float[Tensor, " batch"]:
        directions = [self.projection(normal().to(score)) for _ in range(self.probes)]
        return torch.stack([along(v) + self.square(score, v) for v in directions]).mean(0)

    def square(self, score: Float[Tensor, "batch *shape"], v: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
        """(v^T s)^2 / 2 over the number of dimensions."""
        return 0.5 * (v * score).flatten(1).sum(1).square() / score[0].numel()
