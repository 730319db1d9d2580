"""The learned schedule of variational diffusion models."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from difflab.schedules.schedule import Marginal, Schedule


class Learned(Schedule):
    """Variance preserving, log_snr(t) = log_snr_max + (log_snr_min - log_snr_max) u(t), u rising from 0 to 1.

    u is the normalised output of the monotone network l1 + l3(sigmoid(l2(l1))) with positive weights (Kingma et al.,
    2021, appendix H). The normalisation absorbs scale and offset of l1 and the offset of l3, so l1(t) is t here.

    The end points are trained by the value of the loss, the interior u by its variance (their appendix I.2): after the
    forward pass a loss sets `interior_scale` to twice its own detached values, and the mean of loss_i then gives u the
    gradient of the mean of loss_i^2. Each time has a copy of u's weights of its own, so that the gradient into them is
    scaled in the backward pass and derivatives with respect to t are left alone.

    Args:
        log_snr_max, log_snr_min: at t = 0 and t = 1 before training.
        width: number of sigmoids; 0 for a straight line, of which the end points alone are trained.

    Attributes:
        interior_scale: [batch], for the times of that shape; None: u is trained by the value as well. Times of any
            other shape then give u no gradient.

    Raises:
        ValueError: unless log_snr_min < log_snr_max and width >= 0.
    """

    t_min = 0.0
    interior_scale: Float[Tensor, " batch"] | None = None

    def __init__(self, log_snr_max: float, log_snr_min: float, width: int) -> None:
        super().__init__()
        if not -math.inf < log_snr_min < log_snr_max < math.inf:
            raise ValueError(
                f"schedule.log_snr_min: {log_snr_min}; allowed are numbers below schedule.log_snr_max = {log_snr_max}"
            )
        if width < 0:
            raise ValueError(f"schedule.width: {width}; allowed are whole numbers from 0")
        gap = torch.tensor(log_snr_max - log_snr_min, dtype=torch.float64)
        self.log_snr_min = nn.Parameter(torch.tensor(log_snr_min, dtype=torch.float64))
        self.raw_max = nn.Parameter(log_snr_min + inverse_softplus(gap))
        # u starts near t: sigmoids ten times as steep as [0, 1] is wide, evenly spread, as high together as l1.
        steepness = torch.full((width,), 10.0, dtype=torch.float64)
        centre = (torch.arange(width, dtype=torch.float64) + 0.5) / max(width, 1)
        self.raw_steepness = nn.Parameter(inverse_softplus(steepness))
        self.bias = nn.Parameter(-steepness * centre)
        self.raw_height = nn.Parameter(inverse_softplus(torch.full_like(steepness, 1 / max(width, 1))))
        for part in (self.raw_steepness, self.bias, self.raw_height):
            part.requires_grad_(width > 0)

    def ends(self) -> tuple[Tensor, Tensor]:
        """log_snr at t = 0 and t = 1: apart by a softplus, so that no training can make them cross."""
        return self.log_snr_min + softplus(self.raw_max - self.log_snr_min), self.log_snr_min

    def interior(self, t: Float[Tensor, "*batch"]) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """u and du/dt."""
        weights = torch.stack([softplus(self.raw_steepness), self.bias, softplus(self.raw_height)])
        weights = weights.to(t.device).expand(*t.shape, *weights.shape)
        if weights.requires_grad:
            weights.register_hook(partial(self._scaled, t.shape))
        steepness, bias, height = weights.unbind(-2)
        start, end = (height * bias.sigmoid()).sum(-1), (height * (steepness + bias).sigmoid()).sum(-1)
        rise = torch.sigmoid(steepness * t[..., None] + bias)
        u = (t + (height * rise).sum(-1) - start) / (1 + end - start)
        return u, (1 + (height * steepness * rise * (1 - rise)).sum(-1)) / (1 + end - start)

    def _scaled(self, shape: torch.Size, gradient: Tensor) -> Tensor:
        """The gradient into the copies of the weights, times `interior_scale` as it is in the backward pass."""
        scale = self.interior_scale
        if scale is None:
            return gradient
        if scale.shape != shape:
            return torch.zeros_like(gradient)
        return gradient * scale.to(gradient).reshape(*shape, 1, 1)

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        u, _ = self.interior(t.double())
        top, bottom = (end.to(t.device) for end in self.ends())
        log_snr = top + (bottom - top) * u
        return Marginal(torch.exp(0.5 * logsigmoid(log_snr)), torch.exp(0.5 * logsigmoid(-log_snr)), log_snr)

    def slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        _, rate = self.interior(t.double())
        top, bottom = (end.to(t.device) for end in self.ends())
        return (bottom - top) * rate

    def snr_slope(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.marginal(t).log_snr.exp() * self.slope(t)

    @torch.no_grad()
    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """By bisection, to the last bit of t near 1; no gradient."""
        log_snr = log_snr.double()
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(53):
            middle = (low + high) / 2
            later = self.marginal(middle).log_snr > log_snr
            low, high = torch.where(later, middle, low), torch.where(later, high, middle)
        return high

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Learned":
        """Moves between devices, but stays in float64 when the module is cast."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)


def inverse_softplus(y: Tensor) -> Tensor:
    """x with log(1 + e^x) = y, for y > 0."""
    return y + torch.log(-torch.expm1(-y))
