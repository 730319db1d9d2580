"""Laws of random directions v with E[v v^T] = I, each made of standard normal numbers (Song et al., 2019)."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Projection(Protocol):
    """Standard normal numbers to directions, one for each example."""

    def __call__(self, normal: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]: ...


class Normal:
    """v ~ N(0, I)."""

    def __call__(self, normal: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return normal


class Rademacher:
    """Independent signs: of the three the least variance for a trace, as the diagonal is exact."""

    def __call__(self, normal: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        return torch.where(normal < 0, -1.0, 1.0).to(normal)


class Sphere:
    """Uniform on the sphere of radius sqrt(D): on that of radius 1 the trace would be D times too small."""

    def __call__(self, normal: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        flat = normal.flatten(1)
        return (flat * (flat.shape[1] ** 0.5 / flat.norm(dim=1, keepdim=True))).view_as(normal)
